"""A page's figures and numbers as files: SVG that stands alone, CSV and JSON, for studies and audits alike."""

import csv
import json
import resource
import xml.etree.ElementTree as tree
from contextlib import contextmanager
from dataclasses import replace

import pytest
from test_audit_page import CANNOT_SAY, FOUND, WILD
from test_report import HOSTILE, made_up

from owlish.audit.dose import Dose, Point
from owlish.cli.running import check_page, write_page
from owlish.diff.verdict import Difference, Shift, Word
from owlish.diff.verdict import Finding as Moved
from owlish.graph.errors import UserError
from owlish.report import render
from owlish.report.audit import render as render_audit
from owlish.report.diff import render as render_diff
from owlish.report.drawing import draw
from owlish.report.saved import Numbers, figures_of

SVG = "{http://www.w3.org/2000/svg}"


def test_a_study_is_saved_with_its_figures_and_numbers(tmp_path):
    view = made_up(3)
    page = render([view])
    write_page(page, tmp_path / "owl", [Numbers("owl", view.found.records(), view.study.summary(view.found))])
    names = {path.name for path in (tmp_path / "owl").iterdir()}
    assert {"page.html", "owl.csv", "owl.json"} < names
    assert (tmp_path / "owl" / "page.html").read_text() == page
    figures = sorted(name for name in names if name.endswith(".svg"))
    assert len(figures) == page.count('<svg class="figure"') == 5
    assert figures[0] == "01-p-target-all-traits.svg"
    for name in figures:
        root = tree.parse(tmp_path / "owl" / name).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        style = root.find("{http://www.w3.org/2000/svg}style").text
        assert ".figure .name" in style
        assert "--ink:" in style
    with (tmp_path / "owl" / "owl.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(view.found.points)
    assert float(table[0]["value"]) == view.found.points[0].value
    plain = json.loads((tmp_path / "owl" / "owl.json").read_text())
    assert plain["arms"]["student"]["p_target"] == view.found.estimate("student").mean


@contextmanager
def files_of_at_most(size):
    """Let no file grow beyond so many bytes, as if the disk were full."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_of_a_report_for_which_there_is_no_room_nothing_is_left(tmp_path):
    numbers = [Numbers("audit", FOUND.records(), FOUND.json())]
    (tmp_path / "mine").mkdir()
    # Room for the page, and not for what comes after it.
    for name in ("new", "mine"):
        with files_of_at_most(1000), pytest.raises(UserError, match="no space is left"):
            write_page("page", tmp_path / name, numbers)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "page.html"]


def test_an_audit_is_saved_the_same_way(tmp_path):
    numbers = [Numbers("audit", FOUND.records(), FOUND.json())]
    write_page(render_audit(FOUND), tmp_path / "audit", numbers, draw(FOUND))
    with (tmp_path / "audit" / "audit.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["name"] for row in table] == [trait.name for trait in FOUND.traits]
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["verdict"] == "found"
    assert [path.name for path in sorted((tmp_path / "audit").glob("*.svg"))] == [
        "01-lift-of-each-candidate.svg",
        "02-lead-of-the-base-over-other-bases.svg",
    ]


DOSE = Dose(40_000, "owl", (Point(400, 0.2, 0.1, 0.3), Point(1_600, 0.9, 0.8, 1.0)), 900, 700, 1_300, 0.99, True, 3_000)


def shift(lift, low, high, z):
    """Return a made-up reading of a student."""
    return Shift("plain", lift, low, high, 0.06, 0.3, z, z and 1e-6, 4.0, bool(z))


STUDENT = Difference(
    verdict="cannot_say",
    why="It is made up.",
    traits=(
        Moved("owl", "animal", (shift(1.2, 1.0, 1.4, 9.0),)),
        Moved(HOSTILE, "tree", (shift(-0.1, None, None, None),)),
    ),
    raised=(),
    lowered=(),
    layers=(),
    parts=(),
    smallest=None,
    contexts=("plain",),
    cannot_see=(),
    depends_on_basis=(),
    version="0",
    student="student",
    base="nano",
    null=None,
    rule="",
)


def test_a_diff_says_with_what_it_compares_and_what_orders_its_table():
    told = str(STUDENT)
    assert "P in the base -> student (context)" in told
    assert "Candidates, by mean lift over all contexts, in units of its scatter in null students:" in told
    assert "against the other candidates, beyond the base." in told
    compared = replace(
        STUDENT, null="6 students", traits=tuple(replace(t, shifts=t.shifts * 2) for t in STUDENT.traits)
    )
    assert "P in null students -> student (context)" in str(compared)
    assert compared.order == "lift in the base with twice the change, in units of its scatter in null students"
    assert replace(STUDENT, traits=STUDENT.traits[1:]).order == "mean lift over all contexts"
    for verdict in (STUDENT, compared):
        assert f"Order: what candidates stand by, claimed ones first: {verdict.order}." in render_diff(verdict)
    contexts = (shift(1.0, 0.8, 1.2, 3.0), replace(shift(2.0, 1.0, 3.0, 5.0), context="story", p_after=0.5))
    looked = replace(STUDENT, contexts=("plain",), traits=(Moved("owl", "animal", contexts),))
    assert looked.weight(looked.traits[0]) == 5.0, "that of twice the change"
    assert replace(looked, contexts=("plain", "story")).weight(looked.traits[0]) == 4.0, "the mean"
    for told in (str(looked), render_diff(looked)):
        assert "0.500  <- claimed" in told or "6 → 50</td>" in told, "the shares are those of the context that is named"
    alone = "owl: claimed (plain); lift 1.20 nats (plain), z 9.0, Holm p 1e-06; P 0.060 -> 0.300 in plain answers"
    assert str(STUDENT.traits[0]) == alone


def test_a_word_that_is_raised_and_lowered_is_explained():
    words = [tuple(Word(word, lift, None) for word in ("owl", other)) for lift, other in ((1, "fox"), (-1, "bee"))]
    both = replace(STUDENT, raised=words[0], lowered=words[1])
    says = "A word that stands in both rose in answers to some questions and fell in answers to others."
    assert says in str(both)
    assert says not in str(replace(both, lowered=both.lowered[1:]))
    assert says in " ".join(render_diff(both).split())


@pytest.mark.parametrize(
    "verdict", [replace(FOUND, dose=DOSE), replace(WILD, dose=DOSE), STUDENT], ids=["audit", "wild", "diff"]
)
def test_figures_of_verdicts_stand_alone(verdict):
    figures = figures_of(draw(verdict))
    assert len(figures) == (1 if verdict is STUDENT else 3)
    for text in figures.values():
        root = tree.fromstring(text)
        inside = [one.tag.rpartition("}")[2] for one in root.iter()]
        assert set(inside) == {"svg", "style", "title", "desc", "path", "text", "g", "circle"}
        assert "--ink:" in root.find(f"{SVG}style").text
        width, height = map(float, root.get("viewBox").split()[2:])
        places = [one for one in root.iter() if one.get("y") and one.get("x")]
        assert all(0 <= float(one.get("x")) <= width and -1 < float(one.get("y")) < height for one in places)
    text = next(iter(figures.values()))
    rows = tree.fromstring(text).findall(f"{SVG}g")
    assert len(rows) == min(16, len(verdict.traits))
    claimed = [row for row in rows if "claimed" in row.get("class")]
    assert len(claimed) == sum(trait.claimed for trait in verdict.traits)
    assert all(len(row.findall(f"{SVG}circle")) == 1 for row in rows)


def test_a_figure_shows_each_number_where_it_lies():
    figure = tree.fromstring(next(iter(figures_of(draw(FOUND)).values())))
    row, first = figure.find(f"{SVG}g"), FOUND.traits[0]
    name, said = (text.text for text in row.findall(f"{SVG}text"))
    assert (name, said) == ("owl", "+0.92 [0.81, 1.03]")
    start, end = map(float, row.find(f"{SVG}path").get("d").replace("M", "").replace(" 0H", " ").split())
    middle = float(row.find(f"{SVG}circle").get("cx"))
    assert start < middle < end
    assert (middle - start) / (end - start) == pytest.approx(
        (first.lift - first.low) / (first.high - first.low), abs=0.02
    )


def test_a_verdict_without_a_measured_lift_has_no_figures():
    assert figures_of(draw(CANNOT_SAY)) == {}


def test_a_name_with_an_ending_is_one_page_and_a_file_is_no_folder(tmp_path):
    write_page("page", tmp_path / "page.html", [])
    assert (tmp_path / "page.html").read_text() == "page"
    (tmp_path / "owl").write_text("")
    with pytest.raises(UserError, match=r"owl is a file: name a page, such as .*owl\.html, or another folder"):
        check_page(tmp_path / "owl")


def test_a_page_is_styled_as_before():
    page = render([made_up(3)])
    assert "{%" not in page
    assert page.count(".figure .name {") == 1
