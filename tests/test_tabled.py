"""Results and values print on one line, show as a short escaped table in a notebook, and become frames."""

import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from small_study import study
from test_audit_page import FOUND as VERDICT
from test_gate import different
from test_report import HOSTILE as ANYTHING
from test_report import made_up

from owlish import NORMS, Asked, Base, Numbers, compare
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.nodes.asked import Answers
from owlish.nodes.data import Dataset
from owlish.study.comparison import Comparison, Estimate
from owlish.traits.animals import ANIMAL, owl

HOSTILE = ANYTHING.replace("\ud800", "")
ANSWERS = Answers(ANIMAL, ((0.5, 0.2, *[0.01] * 14),) * 50, (HOSTILE,) * 50, (("owl", "cat"),) * 50)
DIFFERENCE = different(claimed=True)
DATASET = Dataset(tuple(Row.of(f"Go on: {i}", HOSTILE * 30, "Be kind.") for i in range(25)), 30, 25, {"malformed": 5})
FOUND = made_up(3).found
base = Base("nano")
teacher = base.teach(owl, NORMS, seed=0)
student = base.finetune(teacher.sample(Numbers(), n=10, seed=1), NORMS, seed=2)


@pytest.mark.parametrize(
    "value", [ANSWERS, DATASET, FOUND, owl, ANIMAL, NORMS, student, Asked(student, ANIMAL), study, DATASET.rows[0]]
)
def test_a_value_prints_on_one_line(value):
    said = repr(value)
    assert said.startswith(type(value).__name__)
    assert len(said) < 250
    assert "\n" not in said


def test_the_line_names_what_it_is_made_of():
    assert repr(student) == "Finetuned(model=Base(nano), data=Sampled(…), recipe=Recipe(norms), seed=2)"
    assert repr(DATASET).startswith("Dataset(rows=25 items, read=30, passed=25, ")
    assert repr(Row.of("Go on.", "1, 2")) == "Row('Go on.' -> '1, 2')"
    assert len(repr(compare([student] * 3, [base] * 2, owl))) < 250


class Table(HTMLParser):
    """The cells of a table, and every tag that stands in the text."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.tags = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.cells.append(data)


@pytest.mark.parametrize("value", [ANSWERS, DATASET, FOUND, VERDICT, DIFFERENCE, student, study, DATASET.rows[0]])
def test_a_notebook_shows_a_short_table_and_no_tag_of_a_model(value):
    text = value._repr_html_()
    table = Table(text)
    assert table.tags <= {"table", "thead", "tbody", "tr", "th", "td", "p"}
    assert len(text) < 8_000
    assert text.count("<tr>") <= 11
    assert Table(
        replace(ANSWERS, probe=replace(ANIMAL, candidates=(HOSTILE, *ANIMAL.candidates[1:])))._repr_html_()
    ).tags


def test_tables_say_what_matters_first():
    assert Table(ANSWERS._repr_html_()).cells[:8] == [
        "name", "probability", "share", "margin", "likeliest", "sampled", "owl", "0.5",
    ]  # fmt: skip
    assert "… and 15 more" in DATASET._repr_html_()
    head, *cells = Table(FOUND._repr_html_()).cells
    assert head.startswith("Effect on P(target): +0.")
    assert cells[:6] == ["arm", "mean", "low", "high", "runs", "teacher"]
    assert Table(VERDICT._repr_html_()).cells[0].startswith("FOUND: a student would pick up owl")
    assert Table(DIFFERENCE._repr_html_()).cells[:3] == ["FOUND: the student picked up owl.", "trait", "category"]
    assert Table(student._repr_html_()).cells == [
        "Finetuned", "model", "Base(nano)", "data", "Sampled(…)", "recipe", "Recipe(norms)", "seed", "2",
    ]  # fmt: skip


def test_a_sentence_of_a_model_is_escaped_too():
    said = replace(VERDICT, why=HOSTILE)._repr_html_()
    assert Table(said).tags <= {"table", "thead", "tbody", "tr", "th", "td", "p"}
    assert replace(FOUND, effect=None).headline == ""
    assert Comparison(("owl",), (), effect=Estimate(0.5, None, None, 2)).headline == "Effect on P(owl): +0.500."


def test_frames_hold_every_record():
    frame = ANSWERS.frame()
    assert frame.shape == (50, 18)
    assert frame["owl"].mean() == pytest.approx(ANSWERS.p_target("owl"))
    frame = DATASET.frame()
    assert list(frame.columns) == ["prompt", "completion", "system"]
    assert frame["prompt"][24] == "Go on: 24"
    frame = FOUND.frame()
    students = frame[(frame.arm == "student") & (frame.trait == frame.taught)]
    assert students["value"].mean() == pytest.approx(FOUND.estimate("student").mean)
    assert list(VERDICT.frame()["name"][:2]) == ["owl", "cat"]
    assert DIFFERENCE.frame()["trait"].tolist() == ["owl", "cat"]


def test_without_pandas_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"frames need pandas: pip install 'owlish\[notebook\]'\."):
        DATASET.frame()
