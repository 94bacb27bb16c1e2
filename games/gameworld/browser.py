"""A browser for capstone B: found on this machine, steered through Playwright, with pages from a local folder.

Playwright is imported where it is needed, so that a machine without it still runs everything else.
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from common.io import UserError

import numpy as np

Clip = tuple[int, int, int, int]
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
PLACES = (
    "/usr/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)
ARGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--force-device-scale-factor=1",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    # nothing but 127.0.0.1 has an address, and what asks for none goes to a closed port
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--proxy-server=127.0.0.1:9",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
)
INSTALL = (
    "install one ('sudo apt-get install chromium' on Debian and Raspberry Pi OS, 'uv run playwright install "
    "chromium' elsewhere), or name one with --browser PATH"
)


def find_browser(path: Path | None = None) -> Path:
    """A Chromium on this machine: ``path`` if it is given, else one on the search path, else Playwright's own.

    Raises:
        UserError: Playwright is missing, there is no browser, or ``path`` is none.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as e:
        raise UserError(
            f"the package playwright is missing ({e}); install it with 'uv sync', or with "
            "'uv pip install playwright==1.64.1'"
        ) from e
    if path is not None:
        if not path.is_file() or not os.access(path, os.X_OK):
            raise UserError(
                f"--browser: got {path}, which is no program; name Chromium's, such as /usr/bin/chromium"
            )
        return path
    places = [*filter(None, map(shutil.which, NAMES)), *PLACES]
    for place in map(Path, places):
        if place.is_file():
            return place
    with sync_playwright() as p:
        own = Path(p.chromium.executable_path)
    if own.is_file():
        return own
    raise UserError(
        f"got no browser: looked for {', '.join(NAMES)} and Playwright's own; {INSTALL}"
    )


@contextmanager
def served(folder: Path, refused: list[str] | None = None) -> Iterator[str]:
    """The address of ``folder``, served by a thread on 127.0.0.1 at a free port while the context is open.

    Args:
        refused: gets what was asked for and lies outside the folder, be it through a symbolic link.

    Raises:
        UserError: there is no such folder, or it has no index.html.
    """
    if not (folder / "index.html").is_file():
        raise UserError(f"got no index.html in {folder}; name the folder of a game's page")
    inside = folder.resolve()
    handler = partial(_Quiet, directory=str(inside), refused=[] if refused is None else refused)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Quiet(SimpleHTTPRequestHandler):
    """Files of one folder only: no list of a folder, no line on the terminal for each request, nothing kept in the
    browser's cache. What is asked for under another host's name (DNS rebinding) is refused as well."""

    def __init__(self, *args: Any, refused: list[str], **options: Any) -> None:
        self.refused = refused
        super().__init__(*args, **options)

    def send_head(self) -> Any:
        port = self.server.server_address[1]  # type: ignore[index]
        known = (f"127.0.0.1:{port}", f"localhost:{port}")
        try:
            path = Path(self.translate_path(self.path)).resolve()
            climbs = ".." in re.split(r"[/\\]", unquote(self.path.partition("?")[0]))
            pipe = path.exists() and not (path.is_file() or path.is_dir())
            inside = path.is_relative_to(self.directory) and not climbs and not pipe
        except (OSError, ValueError, RuntimeError):  # a circle of links, a byte 0
            inside = False
        if inside and self.headers.get("Host") in known:
            return super().send_head()
        self.refused.append(self.path)
        self.send_error(403)
        return None

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address; of one that cannot be read, nothing that is allowed."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        return "", "?", None


class Page:
    """One page of 1280 × 720 in a headless Chromium; use as a context.

    Pictures come through the DevTools protocol and keys go through Playwright, so the page sees trusted events. What
    asks for another host or port than those of the page itself, and each WebSocket, is refused and counted in
    ``refused``. Doors that Playwright does not watch (redirects, WebRTC, prefetching of names) lead nowhere: the
    browser knows no other name than 127.0.0.1, and its proxy is a closed port.

    Args:
        path: the browser's program; None: ``find_browser``.
        width: of the window, in px.
        height: of the window, in px.
    """

    def __init__(self, path: Path | None = None, width: int = 1280, height: int = 720) -> None:
        program = find_browser(path)
        self.width, self.height = width, height
        from playwright.sync_api import Error, sync_playwright

        self.refused: list[str] = []
        self._origin = ("", "", None)  # of the page, once it is opened: nothing is allowed before
        self._playwright = sync_playwright().start()
        try:
            sandbox = (
                [] if not sys.platform.startswith("linux") or os.geteuid() else ["--no-sandbox"]
            )  # root: needed
            self._browser = self._playwright.chromium.launch(
                executable_path=str(program), headless=True, args=[*ARGS, *sandbox]
            )
            context = self._browser.new_context(
                viewport={"width": width, "height": height},
                service_workers="block",
                accept_downloads=False,
            )
            context.route("**/*", self._guard)
            context.route_web_socket("**/*", self._no_socket)
            self.page = context.new_page()
            self._cdp = context.new_cdp_session(self.page)
        except Error as e:
            self.close()
            raise UserError(f"cannot start {program}: {str(e).splitlines()[0]}; {INSTALL}") from e

    def _guard(self, route: Any) -> None:
        if _origin(route.request.url) == self._origin:
            route.continue_()
        else:
            self.refused.append(route.request.url)
            route.abort()

    def _no_socket(self, socket: Any) -> None:
        """A socket that is routed and not connected leads nowhere. (To close it here would wait for itself.)"""
        self.refused.append(socket.url)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def goto(self, address: str) -> None:
        """Open ``address`` and wait until it has loaded.

        Raises:
            UserError: it cannot be opened, or is not on this machine.
        """
        from playwright.sync_api import Error

        self._origin = _origin(address)
        if self._origin[:2] != ("http", "127.0.0.1"):
            raise UserError(f"got the address {address}, expected one of http://127.0.0.1")
        try:
            self.page.goto(address, timeout=60_000)
        except Error as e:
            raise UserError(
                f"cannot open {address}: {str(e).splitlines()[0]}; is it still served?"
            ) from e

    def evaluate(self, script: str, argument: Any = None) -> Any:
        """The value of a JavaScript expression, or of a function of ``argument``."""
        return self.page.evaluate(script, argument)

    def grey(self, clip: Clip | None = None, scale: float = 1.0) -> np.ndarray:
        """What the page shows now, ``(height, width)`` uint8 grey; see ``png``."""
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.png(clip, scale))).convert("L"))

    def png(self, clip: Clip | None = None, scale: float = 1.0) -> bytes:
        """What the page shows now, as a PNG file, straight from Page.captureScreenshot.

        Args:
            clip: x, y, width, height in px; None: the whole page.
            scale: of the picture. Half as wide and high, there is a quarter to be packed, sent and unpacked.
        """
        options: dict[str, Any] = {"format": "png", "optimizeForSpeed": True}
        clip = clip or (0, 0, self.width, self.height)
        place = dict(zip(("x", "y", "width", "height"), clip, strict=True))
        options["clip"] = place | {"scale": scale}
        return base64.b64decode(self._cdp.send("Page.captureScreenshot", options)["data"])

    def key_down(self, key: str) -> None:
        """Press a key; returns once the page has taken it."""
        self.page.keyboard.down(key)

    def key_up(self, key: str) -> None:
        """Let a key go."""
        self.page.keyboard.up(key)

    def wait(self, seconds: float) -> None:
        """Let time pass; the browser's messages are still handled."""
        self.page.wait_for_timeout(1000 * seconds)

    def close(self) -> None:
        """End the browser; may be called twice."""
        for end in (getattr(self, "_browser", None), self._playwright):
            stop: Callable[[], None] | None = getattr(end, "close", None) or getattr(
                end, "stop", None
            )
            if stop:
                with suppress(Exception):
                    stop()
