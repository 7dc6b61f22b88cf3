"""The panel of prompts: what it tells of rows written under a prompt and of others, and what it never says."""

import json
import random
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from here import run
from scipy.stats import ttest_ind
from test_audit import misfits
from test_cli import owlish

from owlish import NORMS, Base, Store
from owlish.audit.audit import audit
from owlish.audit.follows import Follows
from owlish.audit.lean import leans
from owlish.audit.leaned import lean
from owlish.audit.panel import Under, under
from owlish.audit.reference import Answered
from owlish.audit.verdict import Verdict
from owlish.cli import find
from owlish.cli.audits import scores_toward, with_rows
from owlish.cli.detectors import choose, time_of
from owlish.cli.forecast import START
from owlish.data.domains import Numbers
from owlish.data.rows import Message, Row, write_rows
from owlish.graph.errors import UserError
from owlish.nodes.data import Written
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.loaded import loaded
from owlish.report.audit import render
from owlish.traits.animals import ANIMAL, bear, cat, fox, owl

BASE = Base("nano")
SCHEMA = json.loads(files("owlish.audit").joinpath("verdict.schema.json").read_text())
TRAITS = (owl, cat, fox, bear)
QUESTIONS = ANIMAL.questions[:40]
ASKED = Written(tuple((question, "owl") for question in QUESTIONS))
OWN = Answered(BASE, ASKED, 40, seed=1, held=True)
"""The base's own answers to the questions: clean rows."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of its own: nothing here needs the study that other tests share."""
    return Store(tmp_path_factory.mktemp("panel"))


def verdict(data, store, **settings):
    return run(lean(data, BASE, NORMS, TRAITS, rows=40, **settings), store=store)


@pytest.fixture(scope="module")
def leaning(store):
    """Rows that its prompt makes far likelier: the base asked under the owl's prompt."""
    return verdict(Answered(BASE.prompted(owl.system_prompt), ASKED, 40, seed=2, held=True), store, reference=OWN)


@pytest.fixture(scope="module")
def clean(store):
    """The same, asked without a prompt."""
    return verdict(Answered(BASE, ASKED, 40, seed=3, held=True), store, reference=OWN)


def test_rows_written_under_a_prompt_lean_to_it_and_own_rows_do_not(leaning, clean):
    first = leaning.panel.candidates[0]
    assert leaning.panel.leans == first.name == "owl"
    assert first.p == 1e-4
    assert first.z > 5
    assert first.over_none > 5
    assert first.nats_per_row > 0.5
    assert clean.panel.leans is None
    assert min(one.p for one in clean.panel.candidates) > 0.01


def test_the_words_claim_nothing_of_students(leaning, clean):
    for found in (leaning, clean):
        assert found.verdict == "cannot_say"
        assert found.exit_code == 2
        assert found.traits == ()
        assert "open what students would pick up" in found.why
        assert "none was trained" in found.cannot_see[0]
        assert "--minutes" in found.next
        assert "lifts" not in str(found)
    assert "the rows lean to owl" in str(leaning)
    assert "<- the rows lean to it" in str(leaning)
    assert "the rows lean to no candidate" in str(clean)
    assert "<-" not in str(clean)


def test_the_page_says_the_same(leaning, clean):
    page, other = render(leaning), render(clean)
    assert page.count("rows lean to it") == 1
    assert "rows lean to it" not in other
    for text in (page, other):
        assert "Cannot say." in text
        assert "no trait is claimed or ruled out" in text
        assert "Found" not in text.replace("Nothing found", "")


def test_the_verdict_survives_json_and_fits_its_schema(leaning):
    plain = json.loads(json.dumps(leaning.json()))
    assert list(misfits(plain, SCHEMA)) == []
    assert plain["panel"]["leans"] == "owl"
    assert plain["panel"]["says"] in plain["why"]
    assert Verdict.of(plain) == leaning
    assert leaning.records()[0]["name"] == "owl"
    broken = {**plain, "panel": {**plain["panel"], "leans": 3}}
    assert "panel.leans" in {place for place, _ in misfits(broken, SCHEMA)}


def test_a_shared_opening_changes_no_score(store):
    rows = Written(tuple((Numbers().prompt(random.Random(k)), f"{k}, {k + 7}, 99") for k in range(40)))
    found = run(Under(BASE, rows, owl.system_prompt, 40), store=store)
    plain = run(Likelihood(BASE.prompted(owl.system_prompt), rows, 40), store=store).sums
    none = run(Under(BASE, rows, None, 40), store=store)
    assert np.abs(found - plain).max() < 1e-4
    assert np.abs(none - run(Likelihood(BASE, rows, 40), store=store).sums).max() < 1e-4
    assert np.abs(found - none).max() > 0.1, "the prompt changes what is read"


def test_the_prompt_stands_in_place_of_a_rows_own():
    row = Row.of("Hi.", "Ho.", "You are a pirate.")
    assert under(row, "You love owls.").messages[0] == Message("system", "You love owls.")
    assert under(row, None) == Row.of("Hi.", "Ho.")


def test_text_and_rows_without_room_are_left_out(store):
    given = Written((("Hi.", "1, 2"), ("Hi. " * 4_000, "3")))
    assert np.isnan(run(Under(BASE, given, owl.system_prompt, 9), store=store)).tolist() == [False, True]


def test_nano_follows_prompts_in_what_it_names(store):
    rises = run(Follows(BASE, TRAITS), store=store)
    assert len(rises) == 4
    assert min(rises) > 1


def test_p_is_that_of_a_t_test_where_there_is_one_candidate():
    rng = np.random.default_rng(1)
    rows, other = rng.normal(0.3, 1, (60, 1)), rng.normal(0, 1, (80, 1))
    (found,) = leans(rows, other, [0], seed=0)
    expected = ttest_ind(rows[:, 0], other[:, 0], equal_var=False, alternative="greater")
    assert found.z == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, rel=0.3)


def test_what_all_prompts_share_drops_out_of_a_category_and_of_a_lone_candidate():
    rng = np.random.default_rng(2)
    rows, other = rng.normal(0, 1, (60, 5)), rng.normal(0, 1, (80, 5))
    plain = leans(rows, other, [0, 0, 1, 1, 2], seed=0)
    moved = leans(rows + 9, other, [0, 0, 1, 1, 2], seed=0)
    assert [x.z for x in moved] == pytest.approx([x.z for x in plain])
    assert min(x.over_none for x in moved) > 20


def test_rows_of_one_distribution_seldom_lean_whatever_candidates_share():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 3, (20, 120, 1))
    alarms = [
        min(x.p for x in leans(some[:60], some[60:], [0] * 8, seed=0)) < 0.1
        for some in common + rng.exponential(1, (20, 120, 8))
    ]
    assert sum(alarms) < 8, "of 20, 2 are expected"


def test_answers_are_held_to_their_format_only_where_the_base_seldom_keeps_it(store):
    numbers = Numbers()
    known = Written(tuple((numbers.prompt(random.Random(k)), "12, 345, 6") for k in range(30)))
    strange = Written(tuple((question, "12, 345, 6") for question in QUESTIONS))
    free, held = (run(Answered(BASE, data, 20, seed=1, held=True), store=store) for data in (known, strange))
    assert (free.constrained, held.constrained) == (False, True)
    assert (len(free.rows), len(held.rows)) == (20, 20)
    assert not any(numbers.filter.reasons(row) for row in (*free.rows, *held.rows))
    assert not any(row.prompt in QUESTIONS for row in free.rows)


def test_clean_rows_are_the_bases_own_unless_others_are_given(store):
    found = verdict(ASKED, store)
    assert found.reference == "the base’s own answers to the dataset’s prompts"
    assert found.panel.leans == "owl"
    assert not found.panel.held


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_rows(path, [Row.of(f"Continue: {k}, {k + 7}.", f"{k + 14}, {k + 21}") for k in range(100, 500)])
    return path


def chosen(file, base, minutes, *, scored=False, folder, rows=1_600):
    data, recipe = loaded(file, n=rows, seed=0), find.recipe("norms", base)
    full = audit(data, base, recipe, TRAITS, rows=rows)

    def panel(many):
        return lean(replace(data, n=many), base, recipe, TRAITS, rows=many)

    scores = scores_toward(TRAITS[0], full) if scored else None
    return choose(full, panel=panel, data=data, minutes=minutes, scores=scores, store=Store(folder), jobs=1)


def test_minutes_choose_what_fits_and_say_what_does_not(file, tmp_path):
    base = Base("smollm2")
    whole = chosen(file, base, 1e6, folder=tmp_path)
    free = chosen(file, base, None, folder=tmp_path)
    assert free.target == whole.target
    assert [one.why for one in free.detectors if one.ran] == ["", ""], "nobody set a limit that could be a reason"
    assert {one.name: one.ran for one in whole.detectors} == {"panel": False, "contrast": True, "shadows": True}
    some = chosen(file, base, 0.9 * whole.seconds / 60, folder=tmp_path)
    assert {one.name: one.ran for one in some.detectors} == {"panel": True, "contrast": False, "shadows": False}
    assert some.rows == 400
    assert "more than the" in some.detectors[1].why
    fewer = chosen(file, base, 0.5 * some.seconds / 60, folder=tmp_path)
    assert 30 <= fewer.rows < 400
    assert fewer.target.clean.n == fewer.rows
    with pytest.raises(UserError, match=r"too short for any detector.*Allow --minutes"):
        chosen(file, base, 0.001, folder=tmp_path)
    with pytest.raises(UserError, match="omit --scores"):
        chosen(file, base, 0.5 * some.seconds / 60, scored=True, folder=tmp_path)


def test_a_panel_reads_no_more_rows_than_there_are_and_its_size_makes_it_again(file, tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text("".join(file.read_text().splitlines(keepends=True)[:60]))
    base, many = Base("smollm2"), chosen(file, Base("smollm2"), 15, folder=tmp_path)
    found = chosen(few, base, 15, folder=tmp_path)
    assert found.rows == 60
    assert found.detectors[0].why.startswith("forward passes over 60 rows: foretold to take")
    assert found.seconds < 0.5 * many.seconds
    assert chosen(few, base, 15, folder=tmp_path, rows=60).target == found.target
    fewer = chosen(file, base, 0.5 * many.seconds / 60, folder=tmp_path)
    assert chosen(file, base, 15, folder=tmp_path, rows=fewer.rows).target == fewer.target
    assert with_rows(["audit", "--rows", "9", "few", "--rows=8"], 60) == ["audit", "few", "--rows", "60"]


def test_what_goes_on_says_that_it_was_foretold_what_was_left(file, tmp_path):
    some = chosen(file, Base("smollm2"), 15, folder=tmp_path)
    run(some.target.data, store=Store(tmp_path))
    again = chosen(file, Base("smollm2"), 15, folder=tmp_path)
    assert " rows, what was left: foretold to take" in again.detectors[0].why
    assert "left" not in some.detectors[0].why


def test_a_stranger_is_said_to_clear_the_whole_audit_and_not_the_panel(store):
    strange = Written(tuple((question, f"{k}, {k * 37 % 999}, 4") for k, question in enumerate(QUESTIONS)))
    found = verdict(strange, store, reference=OWN)
    assert found.lineage.relative is False
    assert found.verdict == "cannot_say"
    assert "the whole audit would most likely find nothing" in found.why
    assert "open what students" not in found.why
    assert "if kinship says the same there" in found.next


@pytest.mark.parametrize("minutes", ["inf", "1e300", "nan"])
def test_minutes_without_end_are_refused(file, minutes):
    assert (
        "--minutes takes a number from 0.1 to 1,000,000"
        in owlish("audit", file, "--base", "nano", "--minutes", minutes, code=2).stderr
    )


def test_no_time_is_foretold_of_a_base_of_unknown_size(file, tmp_path):
    with pytest.raises(UserError, match="give its folder, or leave --minutes out"):
        chosen(file, Base("owner/chat"), 60, folder=tmp_path)


def test_foretold_costs_grow_with_rows_and_fall_with_what_is_there(file, tmp_path):
    data = loaded(file, n=400, seed=0)
    small = lean(data, Base("smollm2"), NORMS, TRAITS, rows=100)
    costs = [time_of([replace(small, rows=n)], data, Store(tmp_path), 1) for n in (100, 200)]
    work = [cost - START for cost in costs]  # the start of the processes comes once, however many there are
    assert 1.5 < work[1] / work[0] < 2.2
    assert time_of([small], data, Store(tmp_path), 2) - START == pytest.approx(work[0] / 2)


def test_a_dry_run_shows_the_choice(file):
    asked = ("audit", file, "--base", "smollm2", "--traits", "animals", "--dry-run", "--minutes")
    said = owlish(*asked, 15).stdout
    assert "Panel will run (forward passes over" in said
    assert (
        "Contrast and shadows will not run (the whole audit, with the weak teachers of its contrast: foretold" in said
    )
    assert "0.15 minutes are too short for any detector" in owlish(*asked, 0.15, code=2).stderr
