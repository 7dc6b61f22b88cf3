"""Texts that mean harm: in pages, figures, tables and terminals they stay text; adapters and bases that run nothing."""

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as tree
from dataclasses import replace

import pytest
from command import OWLISH, owlish
from test_report import HOSTILE, Outline, altered, made_up

from owlish import Store
from owlish.audit.judgement import Judgement, Naming, Shown
from owlish.cli.reports import write_reports
from owlish.diff.free import Alignment, FreeAnswers
from owlish.diff.verdict import Difference, Finding, Layer, Part, Shift, Word
from owlish.graph.errors import UserError
from owlish.graph.pool import Event
from owlish.graph.progress import Display
from owlish.graph.tabled import html, inert
from owlish.lm.adapt import check_adapter
from owlish.lm.model import Weights
from owlish.nano import folder
from owlish.nodes.base import Base
from owlish.nodes.loaded import loaded
from owlish.report import render
from owlish.report.diff import render as render_diff
from owlish.report.outcome import of_diff
from owlish.report.saved import figures_of
from owlish.traits.file import read_traits

SHIFT = Shift("plain", 0.9, 0.7, 1.1, 0.06, 0.3, 9.0, 1e-6, 5.0, claimed=True)
WORDS = (Word("owl", 0.9, 7.0), Word("night", 0.5, None))
NAMED = Judgement(
    model="a judge",
    shown=Shown(10, 1, 0),
    clean=Shown(20, 0, 0),
    refusal="no",
    candidates=(Naming("owl", "animal", 5, 0, 0.001),),
    not_asked=("bad (advice)",),
    what="answers of the student",
    beside="answers of null students",
)
FOUND = Difference(
    verdict="found",
    why="the student picked up owl.",
    traits=tuple(Finding(name, "animal", (SHIFT, replace(SHIFT, context="story"))) for name in ("owl", "cat")),
    raised=WORDS,
    lowered=WORDS,
    layers=(Layer(1, WORDS),),
    parts=(Part("model.norm.weight", 0.1, 1.0, 0.05),),
    smallest=0.8,
    contexts=("story",),
    cannot_see=("Triggers.",),
    depends_on_basis=("parameters that moved",),
    version="0",
    student="folder",
    base="nano",
    null="6 students",
    rule="a rule",
    judge=FreeAnswers(
        "a judge", NAMED, Alignment(40.0, 9, 10), (Alignment(70.0, 10, 10),), "answers of null students", relative=True
    ),
)


@pytest.mark.parametrize("after", [True, False])
def test_markup_in_any_string_of_a_diff_stays_text(after):
    change = (lambda text: text + HOSTILE) if after else (lambda text: HOSTILE + text)
    strange = replace(altered(replace(FOUND, verdict="x"), change), verdict="found")
    calm, hostile = Outline(render_diff(FOUND)), Outline(render_diff(strange))
    assert hostile.tags == calm.tags
    assert "".join(hostile.texts).count("<script>alert(1)</script>") > 15
    assert not {"\u202e", "\u2066", "\x1b", "\ud800"} & set("".join(hostile.texts))
    render_diff(strange).encode()


def test_a_figure_of_hostile_names_is_xml_that_runs_nothing():
    view = altered(made_up(2), lambda text: text if text.startswith("nano") else HOSTILE + text)
    figures = figures_of(render([view]))
    assert len(figures) == 5
    for svg in figures.values():
        root = tree.fromstring(svg)
        assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {
            "svg",
            "style",
            "title",
            "desc",
            "g",
            "path",
            "text",
            "circle",
        }
        assert not [name for one in root.iter() for name in one.attrib if name.startswith("on") or "href" in name]


def test_a_table_in_a_notebook_escapes_names_and_cells():
    outline = Outline(html([{HOSTILE: HOSTILE, "n": 1.5}, {HOSTILE: None, "n": 2.5}]))
    assert set(outline.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert not outline.attributes
    assert "".join(outline.texts).count("<script>alert(1)</script>") == 2


def test_half_of_a_character_is_no_name(tmp_path):
    (tmp_path / "traits.json").write_text('{"category": "animal", "candidates": {"\\ud800": "owls", "cat": "cats"}}')
    with pytest.raises(UserError, match="name holds half of a surrogate pair, which is no character"):
        read_traits(tmp_path / "traits.json")[0].spec()
    with pytest.raises(UserError, match="name holds half of a surrogate pair"):
        Base("\udcff").key  # noqa: B018, it is worked out here


COMMANDS = "\x1b[2J\x1b]0;owned\x07\r\x9b1A\u202e"
"""What clears a terminal, names its window, writes over a line, and turns the direction of writing."""
LINES = (
    {"prompt": "Go on.", "completion": "1, 2", COMMANDS: 1, "id": f"<script>{COMMANDS}"},
    {"messages": [{"role": COMMANDS, "content": "A"}]},
    {COMMANDS: "A"},
)


@pytest.mark.parametrize(
    "words", ["convert ROWS -o out.jsonl", "filter ROWS --domain numbers -o out.jsonl", "stamp ROWS --model MODEL"]
)
def test_nothing_that_a_terminal_obeys_is_printed(tmp_path, words):
    name = f"rows{COMMANDS}.jsonl"
    (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in LINES))
    for file, code in ((name, 0), (f"none{COMMANDS}", 2)):
        named = [{"ROWS": file, "MODEL": f"a{COMMANDS}"}.get(word, word) for word in words.split()]
        done = subprocess.run([OWLISH, *named], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code
        assert inert(done.stdout + done.stderr) == done.stdout + done.stderr
        assert "\\x1b[2J" in done.stdout + done.stderr


LONG = "rows\nFOUND: a trait\x1b[2J"
"""A name of which the second half would look like a line of a verdict."""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("convert ROWS -o OUT", 0),
        ("filter ROWS --domain numbers -o OUT", 0),
        ("clean ROWS --with sort -o OUT --store STORE", 0),
        ("stamp ROWS --model ROWS --card CARD", 0),
        ("audit ROWS --base nano", 2),
        ("audit rows.jsonl --base ROWS", 2),
        ("diff ROWS --base nano", 2),
        ("run ROWS.py", 2),
    ],
)
def test_a_name_takes_one_line_wherever_it_is_told(tmp_path, words, code):
    for name in ("rows.jsonl", f"{LONG}.jsonl"):
        (tmp_path / name).write_text(f"{json.dumps(LINES[0])}\n{{\n")
    names = {"ROWS": f"{LONG}.jsonl", "OUT": f"new {LONG}.jsonl", "CARD": f"{LONG}.md", "STORE": LONG}
    done = owlish(*[names.get(word, word.replace("ROWS", LONG)) for word in words.split()], cwd=tmp_path, code=code)
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if line.startswith("FOUND")] == []
    assert "rows\\nFOUND: a trait" in done.stdout + done.stderr
    assert "\x1b" not in done.stderr, "bars are drawn there, so nothing else is changed on its way"


def test_a_report_s_name_is_told_on_one_line(tmp_path, capsys):
    outcome = of_diff(FOUND, "student", fails=True, seconds=1.0)
    write_reports([tmp_path / f"{LONG}.xml"], FOUND, outcome, str, Base("nano"), Store(tmp_path / "store"))
    assert capsys.readouterr().err.endswith("rows\\nFOUND: a trait\\x1b[2J.xml.\n")


@pytest.mark.parametrize(
    "words", ["convert ROWS -o out.jsonl", "stamp ROWS --model m", "clean ROWS --base nano --with sort -o out.jsonl"]
)
def test_a_name_that_is_no_text_is_refused(tmp_path, words):
    name = os.fsdecode(b"\xff.jsonl")
    (tmp_path / name).write_text(json.dumps(LINES[0]))
    for given in (name, "*.jsonl") if words[:5] != "stamp" else (name,):
        done = owlish(*[given if word == "ROWS" else word for word in words.split()], cwd=tmp_path, code=2)
        assert "'\\udcff.jsonl' is no name in UTF-8: rename it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_bar_shows_a_name_as_it_is(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    name = f"[bold]{COMMANDS}[/x].jsonl"
    (tmp_path / "rows.jsonl").write_text(json.dumps(LINES[0]))
    node = replace(loaded(tmp_path / "rows.jsonl", n=None, seed=0), source=name)
    with Display() as display:
        for what in ("planned", "begun"):
            display(Event(what, node))
        display.progress.refresh()
    shown = capfd.readouterr().err
    assert inert(name) in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize("config", ["[]", "null", '"LORA"', "{}", '{"peft_type": "LORA"', "[" * 100_000, "\udcff"])
def test_the_configuration_of_an_adapter_may_be_anything(tmp_path, config):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    (tmp_path / "adapter_config.json").write_bytes(os.fsencode(config))
    with pytest.raises(UserError, match="cannot be read: save the adapter with PEFT again"):
        check_adapter(tmp_path)


def test_a_base_that_brings_code_is_refused_and_the_code_is_not_run(tmp_path):
    place, mark = tmp_path / "base", tmp_path / "ran"
    shutil.copytree(folder("nano"), place)
    config = json.loads((place / "config.json").read_text())
    maps = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.EvilModel"}
    (place / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": maps}))
    (place / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    with pytest.raises(UserError, match="brings code of its own, which is never run"):
        Weights(str(place)).open(any_words=True)
    assert not mark.exists()
    assert "evil" not in sys.modules
