"""The course as a website: a page a lesson, made from the scripts and the committed results."""

from tutor.website.build import build

__all__ = ["build"]
