"""Pages, figures and tables of results whose every text is hostile: markup stays text, and SVG stays XML."""

import xml.etree.ElementTree as tree
from dataclasses import replace

import pytest
from test_report import HOSTILE, Outline, altered, made_up

from owlish.diff.verdict import Difference, Finding, Layer, Part, Shift, Word
from owlish.graph.errors import UserError
from owlish.graph.tabled import html
from owlish.nodes.base import Base
from owlish.report import render
from owlish.report.diff import render as render_diff
from owlish.report.saved import figures_of
from owlish.traits.file import read_traits

SHIFT = Shift("plain", 0.9, 0.7, 1.1, 0.06, 0.3, 9.0, 1e-6, 5.0, claimed=True)
WORDS = (Word("owl", 0.9, 7.0), Word("night", 0.5, None))
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
