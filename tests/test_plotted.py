"""Figures in a notebook: every run is a dot, every interval a line, and the axis says what was measured."""

import re
import sys
from dataclasses import replace

import pytest
from test_audit_page import CANNOT_SAY
from test_audit_page import FOUND as VERDICT
from test_report import HOSTILE, made_up

from owlish.graph.errors import UserError
from owlish.graph.plotted import HUES, levels
from owlish.study.comparison import Comparison, Point

pyplot = pytest.importorskip("matplotlib.pyplot")
RUNS = {"base": [None], "teacher": [0.97, 0.96], "student": [0.5, 0.51, 0.6], "foreign_base": [0.1, 0.12]}
POINTS = tuple(
    Point(arm, "nano-1" if arm == "foreign_base" else "nano", "owl", "owl", run, f"{arm}{run}", value or 0.07)
    for arm, values in RUNS.items()
    for run, value in enumerate(values)
)
FOUND = Comparison(("owl",), tuple(replace(p, run=None) if p.arm == "base" else p for p in POINTS))


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """No window is opened, and none is left."""
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


def dots(ax):
    """Return where dots are: (x, y)."""
    return [tuple(map(float, place)) for path in ax.collections for place in path.get_offsets()]


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_every_run_is_a_dot_of_its_arm_and_none_lies_on_another():
    ax = FOUND.plot()
    assert names(ax) == ["Base", "Teacher", "Student", "Foreign base"]
    assert ax.get_xlabel() == "P(owl)"
    found = dots(ax)
    assert sorted(x for x, _ in found) == sorted(point.value for point in POINTS)
    assert len(set(found)) == len(POINTS)
    assert {round(-y) for x, y in found if 0.4 < x < 0.7} == {2}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["nano", "nano-1"]


def test_intervals_are_those_of_the_arms():
    lines = [line.get_xdata() for line in FOUND.plot().lines]
    student = FOUND.estimate("student")
    assert [student.low, student.high] in [list(map(float, xs)) for xs in lines if len(xs) == 2]
    assert [0.07, 0.07] in [list(map(float, xs)) for xs in lines], "the base is a dashed line"


def test_a_measure_names_its_axis_and_a_margin_has_its_own_span():
    points = tuple(replace(point, value=20 * point.value - 9) for point in POINTS)
    ax = Comparison(("owl", "cat"), points, bounds=(-50.0, 50.0), measure="logit margin").plot()
    assert ax.get_xlabel() == "logit margin"
    assert ax.get_xlim()[0] > -12
    assert FOUND.plot().get_xlim() == pytest.approx((-0.03, 1.03))


def test_it_is_drawn_on_axes_of_ones_own():
    _, (left, right) = pyplot.subplots(1, 2)
    assert FOUND.plot(ax=right) is right
    assert not dots(left)
    assert len(pyplot.get_fignums()) == 1


def test_a_verdict_shows_lifts_and_the_smallest_that_would_be_found():
    ax = VERDICT.plot()
    assert names(ax)[:2] == ["owl", "cat"]
    assert [x for x, _ in dots(ax)] == [one.lift for one in VERDICT.traits[:12]]
    assert ax.get_xlabel() == "lift in trial students [nats]"
    assert [note.get_text() for note in ax.texts if "found" in note.get_text()] == [
        "a lift of 0.82 would be found 9 times in 10"
    ]
    claimed = [line for line in ax.lines if line.get_color() == HUES["claimed"]]
    assert len(claimed) == sum(one.claimed for one in VERDICT.traits)
    with pytest.raises(UserError, match=r"no lift was measured.*: audit again without --minutes\."):
        replace(CANNOT_SAY, traits=()).plot()


def test_hostile_names_are_drawn_as_text(tmp_path):
    strange = "$\\frac{$" + re.sub(r"[\ud800\x00-\x1f]", "", HOSTILE)
    found = replace(FOUND, points=tuple(replace(p, base=f"{strange}{p.base}") for p in POINTS), traits=(strange,))
    verdict = replace(VERDICT, traits=tuple(replace(one, name=f"{strange}{one.name}") for one in VERDICT.traits))
    for number, ax in enumerate((found.plot(), verdict.plot())):
        ax.figure.savefig(tmp_path / f"{number}.svg")
        assert b"<script" not in (tmp_path / f"{number}.svg").read_bytes()


def test_dots_that_are_close_stand_above_each_other():
    assert levels([0.5, 0.5001, 0.5002, 0.9], 0.01) == [0, 1, 2, 0]
    values = {"student0": 0.5, "student1": 0.5001, "student2": 0.9}
    close = replace(FOUND, points=tuple(replace(p, value=values.get(p.key, p.value)) for p in POINTS))
    first, second, third = (dict(dots(close.plot()))[value] for value in values.values())
    assert first == third < second


def test_many_runs_stay_in_their_row():
    found = made_up(3).found
    rows = [round(-(y - 0.2)) for _, y in dots(found.plot())]
    assert max(abs(-y - round(-(y - 0.2))) for _, y in dots(found.plot())) < 0.7
    assert len(set(rows)) == len(found.arms)


def test_without_matplotlib_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for value in (FOUND, VERDICT):
        with pytest.raises(UserError, match=r"figures need matplotlib: pip install 'owlish\[plot\]'\."):
            value.plot()
