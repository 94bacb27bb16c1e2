"""What every script keeps: its parts, its flags, and one clear line for bad input. All in one process."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

from common.io import UserError
from common.lesson import LessonConfig, Section, parse, start

import pytest
from helpers import ROOT, SCRIPTS, load_script

HEADINGS = ("Question", "Idea", "Read first", "Run", "Builds on / leads to")
FLAGS = (
    "--num-steps",
    "--seed",
    "--device",
    "--data-dir",
    "--out-dir",
    "--smoke",
    "--full",
    "--only",
    "--predict",
    "--no-stand-in",
    "--show",
    "--quiz",
    "--journal",
)


def parsed(name: str, *argv: str) -> LessonConfig:
    m = load_script(name)
    return parse(m.Config, argv, m.SMOKE, m.FULL, f"{name}.py")


def sections_of(name: str) -> list[Section]:
    return [s for s in vars(load_script(name)).values() if isinstance(s, Section)]


# A script without sections still has the first version's form and waits for its rewriting.
IN_FORM = [name for name in SCRIPTS if sections_of(name)]


def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_parts(name: str) -> None:
    tree = tree_of(name)
    doc = ast.get_docstring(tree) or ""
    positions = [doc.find(f"\n{h}\n") for h in HEADINGS]
    found = dict(zip(HEADINGS, positions, strict=True))
    assert -1 not in positions and positions == sorted(positions), f"docstring headings: {found}"
    assert "https://" in doc, "Read first names no link"
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    assert source.rstrip().endswith("start(main, Config, SMOKE, FULL)")
    assert "input(" not in source, "nothing waits for the keyboard outside --quiz and --predict"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "open":
            named = any(k.arg in ("encoding", "mode") for k in node.keywords)
            assert named or len(node.args) > 1, "open() names no encoding"


def test_the_models_are_in_form() -> None:
    assert {"01_lif_neuron", "09_training_bptt"} <= set(IN_FORM)


@pytest.mark.parametrize("name", IN_FORM)
def test_form_of_a_lesson(name: str) -> None:
    """CHAPTER.md: sections that hold everything of theirs, a short docstring, code that is read once."""
    tree = tree_of(name)
    doc = ast.get_docstring(tree) or ""
    assert doc.count("\n") <= 40, f"the docstring has {doc.count(chr(10)) + 1} lines"
    assert "You should see" not in doc, "it answers the predictions before they are made"
    sections = sections_of(name)
    numbers = [s.number for s in sections]
    assert numbers == list(range(1, len(numbers) + 1)) and 3 <= len(numbers) <= 8
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    assert not [f for f in functions if f.startswith("plot_")], "a figure stands in its section"
    called = [ast.unparse(n.value.func) for n in functions["main"].body if isinstance(n, ast.Expr)]
    assert len(called) == len(functions["main"].body), "main calls the sections and does no more"
    if called == [
        "carry_out_asked"
    ]:  # each section is a command: games.commands calls those asked for
        assert list(load_script(name).SECTIONS.values()) == sections
    else:
        assert called == [s.__name__ for s in sections]
    for section in sections:
        assert section.__doc__.strip().count("\n") >= 3, f"{section.__name__}: no idea in words"
        body = ast.unparse(functions[section.__name__])
        for part in ("run.predict(", "run.finding(", "run.claim("):
            assert part in body, f"{section.__name__} has no {part}…)"
        claims = body.count("run.claim(")
        assert claims <= 6, f"{section.__name__}: {claims} claims; the exact ones belong in tests"
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    assert "E731" not in source, "a lambda with a name"
    assert "zip(*" not in source, "a starred zip"
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp):
            assert not isinstance(node.body, ast.IfExp) and not isinstance(node.orelse, ast.IfExp)
    exercises = list((ROOT / "exercises").glob(f"{name[:2]}[a-z]_*.py"))
    assert len(exercises) >= 2 or not name[:2].isdigit() or name.startswith("00")


@pytest.mark.parametrize("name", IN_FORM)
def test_one_section_alone(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--only`` runs one section and what it needs, and leaves the record of a whole run alone."""
    m = load_script(name)
    last = (
        2 if name.startswith("16") else sections_of(name)[-1].number
    )  # 16's last one trains for long
    flags = ["--smoke", "--num-steps", "2", "--out-dir", str(tmp_path), "--only", str(last)]
    start(m.main, m.Config, m.SMOKE, m.FULL, flags)
    out = capsys.readouterr().out
    assert f"\n{last}  " in out
    written = {p.name for p in (tmp_path / "smoke" / name).iterdir()}
    assert f"metrics_only_{last}.json" in written and "metrics.json" not in written
    with pytest.raises(SystemExit) as stop:
        start(m.main, m.Config, m.SMOKE, m.FULL, ["--only", "99", "--out-dir", str(tmp_path)])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and "--only: got 99, allowed is 1, 2" in err


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_names_every_flag_and_its_meaning(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parsed(name, "--help")
    text = capsys.readouterr().out
    assert stop.value.code in (0, None)
    for flag in FLAGS:
        assert flag in text, f"--help does not name {flag}"
    config = load_script(name).Config
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == "Config":
            body = node.body
            for this, after in zip(body, [*body[1:], None], strict=True):
                if isinstance(this, ast.AnnAssign) and "ClassVar" not in ast.unparse(
                    this.annotation
                ):
                    explained = isinstance(after, ast.Expr) and isinstance(
                        after.value, ast.Constant
                    )
                    assert explained, f"{ast.unparse(this.target)} has no meaning in --help"
    common = {g.name for g in dataclasses.fields(LessonConfig)}
    own = [f.name for f in dataclasses.fields(config) if f.name not in common]
    limit = (
        19 if name.startswith("capstone") else 12
    )  # a capstone has ten commands, and one Config for all of them
    assert len(own) <= limit, f"{len(own)} flags of its own"


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_common_flag_is_accepted(name: str, tmp_path: Path) -> None:
    cfg = parsed(
        name,
        "--num-steps",
        "3",
        "--seed",
        "7",
        "--device",
        "cpu",
        "--data-dir",
        str(tmp_path),
        "--out-dir",
        str(tmp_path / "o"),
        "--smoke",
        "--no-stand-in",
        "--show",
        "--quiz",
        "--journal",
    )
    assert (cfg.num_steps, cfg.seed, cfg.device, cfg.smoke, cfg.stand_in) == (
        3,
        7,
        "cpu",
        True,
        False,
    )
    assert (
        cfg.data_dir == tmp_path
        and cfg.out_dir == tmp_path / "o"
        and cfg.show
        and cfg.quiz
        and cfg.journal
    )
    assert parsed(name, "--full").full


@pytest.mark.parametrize("name", SCRIPTS)
def test_scales_change_only_fields_that_exist_and_a_flag_wins(name: str) -> None:
    m = load_script(name)
    fields = {f.name for f in dataclasses.fields(m.Config)}
    assert set(m.SMOKE) <= fields and set(m.FULL) <= fields
    for scale, flag in ((m.SMOKE, "--smoke"), (m.FULL, "--full")):
        cfg = parsed(name, flag)
        assert all(getattr(cfg, k) == v for k, v in scale.items())
    assert parsed(name, "--smoke", "--seed", "5").seed == 5


BAD = {
    ("--no-such-flag",): "--no-such-flag",
    ("surprise",): "surprise",
    ("--num-steps", "0"): "--num-steps: got 0, allowed is 1 to",
    ("--num-steps", "-3"): "-3",
    ("--num-steps", "many"): "many",
    ("--num-steps",): "--num-steps",
    ("--seed", "-1"): "--seed: got -1",
    ("--device", "abacus"): "--device: got 'abacus', allowed are auto, ",
    ("--device", "cuda:99"): "--device: got 'cuda:99'",
    ("--data-dir", "no/such/folder"): "--data-dir: got ",
    ("--smoke", "--full"): "--smoke and --full together",
    ("--only", "banana"): "banana",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_bad_flags(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    m = load_script(name)
    monkeypatch.chdir(tmp_path)
    for argv, expected in BAD.items():
        with pytest.raises(SystemExit) as stop:
            start(m.main, m.Config, m.SMOKE, m.FULL, argv)
        out, err = capsys.readouterr()
        assert stop.value.code == 2, argv
        assert err.startswith("error: ") and err.count("\n") == 1, (
            f"{argv}: more than one line:\n{err}"
        )
        assert expected in err and out == "", f"{argv}: {err}"
    assert list(tmp_path.iterdir()) == [], "bad input must not leave files behind"


@pytest.mark.parametrize("name", SCRIPTS)
def test_bounds_are_checked(name: str) -> None:
    """Each bounded number of each lesson refuses what lies outside."""
    m = load_script(name)
    defaults = m.Config()
    for field, (low, high) in m.Config.limits().items():
        value = getattr(defaults, field)  # a bound on a field that is not there would raise here
        if isinstance(value, (int, float)):
            step = type(value)(1)
            for bad in (low - step, high + step):
                with pytest.raises(UserError, match="allowed is"):
                    dataclasses.replace(defaults, **{field: type(value)(bad)}).validate()
    numbers = {
        f.name
        for f in dataclasses.fields(m.Config)
        if type(getattr(defaults, f.name)) in (int, float)
    }
    assert numbers <= set(m.Config.limits()), (
        f"no bounds for {sorted(numbers - set(m.Config.limits()))}"
    )


def test_read_only_out_dir_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file stands where the folder should be: as hopeless as a read-only disk, and root cannot pass it."""
    blocked = tmp_path / "results"
    blocked.write_text("not a folder", encoding="utf-8")
    m = load_script("01_lif_neuron")
    with pytest.raises(SystemExit) as stop:
        start(m.main, m.Config, m.SMOKE, m.FULL, ["--smoke", "--out-dir", str(blocked)])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1 and "--out-dir" in err
    assert blocked.read_text(encoding="utf-8") == "not a folder"


def test_networks_marked_as_the_same_are_the_same() -> None:
    """``# same as lesson NN`` above a class or function: the two syntax trees are equal."""
    trees = {name: ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8")) for name in SCRIPTS}
    found = 0
    for name in SCRIPTS:
        lines = (ROOT / f"{name}.py").read_text(encoding="utf-8").splitlines()
        named = {
            n.lineno: n for n in trees[name].body if isinstance(n, (ast.ClassDef, ast.FunctionDef))
        }
        for number, line in enumerate(lines, 1):
            if not (m := re.match(r"# same as lesson (\w+)", line)):
                continue
            node = named[min(k for k in named if k > number)]
            other = next(s for s in SCRIPTS if s.startswith(m[1]))
            twin = next(n for n in trees[other].body if getattr(n, "name", "") == node.name)
            assert ast.dump(node) == ast.dump(twin), (
                f"{node.name} of {name} differs from that of {other}"
            )
            found += 1
    assert found, "lesson 09 takes its network from lesson 08"
