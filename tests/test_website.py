"""The website: everything on it comes from the scripts and the results, and nothing is fetched from elsewhere."""

from __future__ import annotations

import ast
import html
import json
import re
import subprocess
import sys
from pathlib import Path

from common.io import ROOT, UserError
from tutor.prompts import scripts
from tutor.website import build, content, prose

import pytest

LESSON = "01_lif_neuron"


@pytest.fixture(scope="module")
def page() -> content.Page:
    return content.read(LESSON)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The website of three scripts: colours of code take a second for each."""
    folder = tmp_path_factory.mktemp("site") / "new"
    chosen = ["00_environment_test", LESSON, "09_training_bptt"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "scripts", lambda: chosen)
        build(folder)
    return folder


def text_of(source: str) -> str:
    """HTML without its marks, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", source)).split())


def words(source: str) -> str:
    """A text without spaces, and without the marks that a page shows in another way."""
    return re.sub(r"[\s*`^()]+", "", source)


def test_every_word_of_a_lesson_is_on_its_page(page: content.Page) -> None:
    tree = ast.parse((ROOT / f"{LESSON}.py").read_text("utf-8"))
    docs = [
        ast.get_docstring(n) for n in tree.body if getattr(n, "name", "").startswith("section_")
    ]
    assert len(page.sections) == len(docs) == 6
    for section, doc in zip(page.sections, docs, strict=True):
        first, _, rest = doc.partition("\n")
        assert first == f"{section.number}  {section.title}"
        assert words(text_of(section.text)) == words(rest)


def test_the_code_of_a_section_is_the_scripts_own(page: content.Page) -> None:
    source = (ROOT / f"{LESSON}.py").read_text("utf-8")
    shown = "\n".join(html.unescape(re.sub(r"<[^>]+>", "", str(s.code))) for s in page.sections)
    shown = html.unescape(re.sub(r"<[^>]+>", "", str(page.set_up))) + shown
    missing = []
    inside = {n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)}
    docs = {ast.get_docstring(n, clean=False) or "" for n in inside}
    for line in source.split("\ndef main")[0].split('"""\n', 1)[1].split("\n"):
        if line.strip() and not line.startswith("# ---") and line not in shown:
            missing.append(line)
    assert not [line for line in missing if not any(line.strip(' "') in doc for doc in docs)]


def test_findings_claims_and_figures_are_those_of_the_committed_result(page: content.Page) -> None:
    result = json.loads((ROOT / "docs" / "results" / f"{LESSON}.json").read_text("utf-8"))
    found = [text for section in page.sections for text in section.findings]
    assert found == [finding["text"] for finding in result["findings"]]
    assert sum(len(section.claims) for section in page.sections) == len(result["claims"])
    figures = {figure.file.name for section in page.sections for figure in section.figures}
    assert figures == {p.name for p in (ROOT / "docs" / "figures" / LESSON).glob("*.webp")}
    assert all(figure.look for section in page.sections for figure in section.figures)


def test_no_page_asks_for_anything_from_elsewhere(site: Path) -> None:
    for path in [*site.glob("*.html"), *site.glob("*.css"), *site.glob("*.js")]:
        text = path.read_text("utf-8")
        loaded = re.findall(r"""(?:src|srcset)=["']([^"']+)|<link[^>]*href=["']([^"']+)""", text)
        for address in (a or b for a, b in loaded):
            if address.startswith("data:"):
                continue
            assert not re.match(r"\w+:|//", address), f"{path.name} loads {address}"
            assert (site / address).is_file(), f"{path.name}: {address} is not there"
        assert not re.search(r"@import|url\((?!data:)|fetch\(|XMLHttpRequest", text)


def test_links_inside_lead_somewhere(site: Path) -> None:
    for path in site.glob("*.html"):
        text = path.read_text("utf-8")
        ids = set(re.findall(r'\bid="([^"]+)"', text))
        assert len(ids) == len(re.findall(r'\bid="([^"]+)"', text)), f"{path.name}: an id twice"
        for address in re.findall(r'<a [^>]*href="([^"]+)"', text):
            if address.startswith("#"):
                assert address[1:] in ids, f"{path.name}: {address}"
            elif not address.startswith("http"):
                there = (site / address).is_file() or address.removesuffix(".html") in scripts()
                assert there, f"{path.name}: {address}"


def test_pictures_have_words_and_tables_headings(site: Path) -> None:
    for path in site.glob("*.html"):
        text = path.read_text("utf-8")
        assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", text))
        assert all("scope=" in tag for tag in re.findall(r"<th[ >][^>]*>?", text))
        levels = [int(level) for level in re.findall(r"<h(\d)", text)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.1 of ``#rrggbb``."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_what_scrolls_can_be_scrolled_by_keyboard(site: Path) -> None:
    """On a phone code, equations, drawings and tables are wider than the screen; a label needs a role."""
    found = 0
    for path in site.glob("*.html"):
        text = re.sub(r"<script.*?</script>", "", path.read_text("utf-8"), flags=re.DOTALL)
        for tag in re.findall(r"<(?:pre|div)\b[^>]*>", text):
            wide = tag.startswith("<pre") or 'class="scroll"' in tag or 'class="equations"' in tag
            if wide:
                found += 1
                assert 'tabindex="0"' in tag, f"{path.name}: {tag}"
                assert "aria-label" not in tag or "role=" in tag, f"{path.name}: {tag}"
    assert found > 20


def test_every_colour_can_be_read_on_both_pages(site: Path) -> None:
    style = (site / "style.css").read_text("utf-8")
    themes = re.findall(r":root(?:\[data-theme=\"dark\"\])? \{(.*?)\}", style, re.DOTALL)[:2]
    code = prose.code_colours()
    for theme, colours in zip(themes, (code["light"], code["dark"]), strict=True):
        named = dict(re.findall(r"--(\w+): (#\w{6})", theme))
        for paper in (named["page"], named["panel"], named["found"]):
            for ink in (named["text"], named["quiet"], named["link"]):
                assert contrast(ink, paper) >= 4.5
        for ink in set(re.findall(r"color: (#\w{6})", colours)):
            assert contrast(ink, named["panel"]) >= 4.5, ink
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("U[t+1] = β·U[t]", "<var>U</var>[<var>t</var>+1] = <var>β</var>·<var>U</var>[<var>t</var>]"),
        ("1 − β^(t−1)·x", "1 − <var>β</var><sup><var>t</var>−1</sup>·<var>x</var>"),
        ("a leak, and I see", "a leak, and I see"),
        ("ρ^D < 1", "<var>ρ</var><sup><var>D</var></sup> &lt; 1"),
        ("x^((a+b)·c) = y", "<var>x</var><sup>(<var>a</var>+<var>b</var>)·<var>c</var></sup> = <var>y</var>"),
        ("spk.sum(0) = s", "spk.sum(0) = <var>s</var>"),
    ],
)  # fmt: skip
def test_mathematics_is_slanted_and_raised(text: str, shown: str) -> None:
    assert prose.typeset(text) == shown


def test_cells_that_begin_together_stand_together() -> None:
    block = prose.apart("U = β·U + I      leak     (1)\nS = 1 if U > θ   fire     (2)\n")
    places = re.findall(r"grid-row:(\d);grid-column:(\d)/(\d)", block)
    assert places == [(row, str(i), str(i + 1)) for row in "12" for i in (1, 2, 3)]
    assert block.count('class="number"') == 2


def test_a_drawing_keeps_every_character_in_its_place() -> None:
    drawing = "I ──►──┬──\n       R"
    assert prose.apart(drawing) == f'<pre class="drawing" tabindex="0">{drawing}</pre>\n'


def test_text_cannot_become_html_or_a_false_link() -> None:
    shown = prose.markdown("S[t](1 − β) <script>alert(1)</script> and https://example.org/a.")
    assert "<script>" not in shown and "S[t](1 − β)" in shown
    assert shown.count("<a ") == 1 and 'href="https://example.org/a"' in shown


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        build(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_command_says_where_and_refuses_kindly(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    done = subprocess.run(
        [sys.executable, "course.py", "pages", "--out", str(tmp_path / "a")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2 and "holds something else" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_every_script_has_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prose, "python", str)  # colours take a second for each script
    for found in content.pages():
        assert found.title and found.parts["Question"] and found.finding, found.name
        assert found.set_up, found.name
        numbers = [section.number for section in found.sections]
        assert numbers == list(range(1, len(numbers) + 1)), found.name
