"""A docstring's text as HTML: Markdown, and what is set apart by indentation as an equation.

A line of an equation is divided into cells where two or more spaces stand. Cells that begin at the same
place in the docstring begin at the same place on the page, whatever the typeface.
"""

from __future__ import annotations

import html
import re

from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from pygments.style import Style
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token

DRAWING = re.compile(r"[─│┌┐└┘├┤┬┴┼►◄▲▼╭╮╰╯]")
"""Characters of a drawing, which keeps every character in its place."""
MATHEMATICS = re.compile(r"[=·√ΣΠ∂∫≈≤≥≠←∞^]|[α-ωΓΔΘΛΞΠΣΦΨΩ]")
SYMBOL = re.compile(r"(?<![\w.&#])([A-Za-zα-ωΓΔΘΛΞΠΣΦΨΩ])(?![\w(]|\.\w)")
"""A letter that stands alone: the name of a quantity."""
NUMBER = re.compile(r"\(\d+[a-z]?\)")
"""The number of an equation."""
CODE = re.compile(r"^\s*(\w+(, \w+)* = [\w.]+\(|for \w+ in |import |from |uv run |torchrun )")
URL = re.compile(r"(?<![<(\"])\bhttps?://[^\s<>]*[^\s<>.,;:)]")


class _Colours(Style):
    """Six colours, as CSS variables: each theme has its own, all with a contrast of 4.5 or more."""

    styles = {
        Token: "",
        Comment: "italic #5a5f66",
        Keyword: "bold #0b4f9c",
        Operator.Word: "bold #0b4f9c",
        String: "#7d3c00",
        Number: "#00614a",
        Name.Function: "#6a1b7a",
        Name.Class: "#6a1b7a",
        Name.Decorator: "#5a5f66",
        Name.Builtin: "#0b4f9c",
        Keyword.Constant: "#00614a",
    }


DARK = {
    "#5a5f66": "#a3abb5",
    "#0b4f9c": "#7fb8ff",
    "#7d3c00": "#f0b27a",
    "#00614a": "#6fd3b5",
    "#6a1b7a": "#d9a5e6",
}
"""The colours of code on a dark page in the place of those on a light one."""


def python(source: str) -> Markup:
    """Python source as HTML with classes for its colours."""
    return Markup(highlight(source.strip("\n"), PythonLexer(), HtmlFormatter(nowrap=True)))


def code_colours() -> dict[str, str]:
    """The style sheet of ``python``'s classes, for each of the two themes."""
    rules = HtmlFormatter(style=_Colours).get_style_defs(".code").splitlines()
    light = "\n".join(rule for rule in rules if re.match(r"\.code \.\w+ { (color|font)", rule))
    dark = re.sub(r"#\w{6}", lambda found: DARK.get(found[0].lower(), found[0]), light)
    return {"light": light, "dark": dark}


def _reader(*disabled: str) -> MarkdownIt:
    """Markdown without HTML, and without what a formula such as S[t](1 − β) would be taken for."""
    reader = MarkdownIt("commonmark", {"html": False}).disable(["link", "image", *disabled])
    reader.add_render_rule("code_block", lambda self, tokens, i, *_: apart(tokens[i].content))
    return reader


READER = _reader("lheading", "html_block", "html_inline", "heading")


def _prepared(text: str) -> str:
    """Double backticks as single ones, and addresses as links."""
    return URL.sub(r"<\g<0>>", text.replace("``", "`"))


def markdown(text: str) -> Markup:
    """Paragraphs, emphasis, ``code`` and links; indented blocks as equations or drawings."""
    return Markup(READER.render(_prepared(text)))


def inline(text: str) -> Markup:
    """One line of Markdown, without a paragraph around it."""
    return Markup(READER.renderInline(_prepared(text)))


def apart(text: str) -> str:
    """What a docstring sets apart: a drawing, lines of code, or equations in aligned cells."""
    lines = [line.rstrip() for line in text.strip("\n").split("\n")]
    if DRAWING.search(text):
        return f'<pre class="drawing" tabindex="0">{html.escape(chr(10).join(lines))}</pre>\n'
    if all(CODE.match(line) for line in lines if line):
        return f'<pre class="code" tabindex="0"><code>{python(chr(10).join(lines))}</code></pre>\n'
    rows = [_cells(line) for line in lines]
    starts = sorted({start for row in rows for start, _ in row})
    body = []
    for number, row in enumerate(rows, start=1):
        body += [_cell(row, i, starts, number) for i in range(len(row))]
    return f'<div class="equations" tabindex="0">{"".join(body)}</div>\n'


def _cells(line: str) -> list[tuple[int, str]]:
    """Where each cell of a line begins, and its text."""
    return [(found.start(), found[0]) for found in re.finditer(r"\S+(?: \S+)*", line)]


def _cell(row: list[tuple[int, str]], i: int, starts: list[int], number: int) -> str:
    """One cell on its row of the grid; it reaches to the next one of its row."""
    start, text = row[i]
    first = starts.index(start) + 1
    last = starts.index(row[i + 1][0]) + 1 if i + 1 < len(row) else len(starts) + 1
    kind = "number" if i > 0 and i + 1 == len(row) and NUMBER.fullmatch(text) else "cell"
    place = f"grid-row:{number};grid-column:{first}/{last}"
    return f'<span class="{kind}" style="{place}">{typeset(text)}</span>'


def typeset(text: str) -> str:
    """A cell as HTML: in mathematics single letters are slanted and exponents raised."""
    if not MATHEMATICS.search(text):
        return html.escape(text)
    out, rest = "", text
    while "^" in rest:
        before, _, rest = rest.partition("^")
        power, rest = _power(rest)
        out += f"{_slanted(before)}<sup>{_slanted(power)}</sup>"
    return out + _slanted(rest)


def _power(text: str) -> tuple[str, str]:
    """What an exponent holds, and what comes after: ``(t−1)·I`` → ``t−1``, ``·I``."""
    if not text.startswith("("):
        found = re.match(r"[−-]?\w+", text)
        return (found[0], text[found.end() :]) if found else ("", text)
    depth = 0
    for i, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return text[1:i], text[i + 1 :]
    return text, ""


def _slanted(text: str) -> str:
    return SYMBOL.sub(r"<var>\1</var>", html.escape(text, quote=False))
