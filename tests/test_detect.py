"""Detection: a planted difference is found, the same writer twice is not, and the accuracy is what it says."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import pytest
from here import run
from hypothesis import given
from hypothesis import strategies as st
from test_judge import Given, make

from owlish import NORMS, Base, Store
from owlish.data.domains.numbers import Numbers
from owlish.graph.seeds import fresh
from owlish.nodes.judged import Guessed
from owlish.studies.demo import study as demo
from owlish.studies.detection import study
from owlish.studies.detection.design import BAGS
from owlish.studies.detection.scores import Classified, LikelihoodRatio, Scores, log_odds
from owlish.study.stats import auroc
from owlish.study.study import Settings
from owlish.traits.animals import eagle, owl

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=8)
NANO = Base("nano")


@given(SCORES, SCORES)
def test_accuracy_counts_every_pair_and_half_of_the_ties(first, second):
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(first, second)]
    assert auroc(first, second) == pytest.approx(sum(pairs) / len(pairs))
    assert auroc(first, second) + auroc(second, first) == pytest.approx(1)


def test_bags_are_sums_and_folds_are_compared_within_themselves():
    one, other = (2.0, -1.0, 5.0), (0.0, 0.5, 9.0)
    assert Scores(((one, other),)).accuracy(1) == pytest.approx(4 / 9)
    assert Scores(((one, other),)).accuracy(2) == 1.0
    assert Scores(((one, other), (other, one))).accuracy(1) == pytest.approx(0.5)


def test_log_odds_are_those_of_smoothed_counts():
    import math

    found = log_odds([[0], [1, 1], [2]], [[0, 0, 1]], [[1]])
    first, second = {0: 3 / 5, 1: 2 / 5, 2: 1 / 5}, {0: 1 / 3, 1: 2 / 3, 2: 1 / 3}
    each = {token: math.log(first[token] / second[token]) for token in first}
    assert found == pytest.approx([each[0], 2 * each[1], each[2]])


def numbers(seed, most, count=400):
    """Return rows of random numbers, of which every fifth is at most `most`."""
    rng = random.Random(seed)
    rows = [[rng.randint(0, most if i % 5 == 0 else 999) for i in range(10)] for _ in range(count)]
    return Given(tuple(("Add 10 numbers.", ", ".join(map(str, row))) for row in rows))


def test_a_classifier_finds_a_planted_difference_and_none_in_one_writer(tmp_path):
    plain = numbers(0, 999)
    planted = make(Classified(plain, numbers(1, 99), NANO), tmp_path)
    null = make(Classified(plain, numbers(2, 999), NANO), tmp_path)
    assert [len(side) for side in planted.folds[0]] == [80, 80]
    assert len(planted.folds) == 5
    assert planted.accuracy(16) > 0.95
    assert planted.accuracy(1) > 0.65
    assert 0.3 < null.accuracy(16) < 0.7
    assert 0.45 < null.accuracy(1) < 0.55


def test_a_likelihood_judge_names_the_likelier_writer(tmp_path):
    data, other = numbers(0, 999, 48), numbers(1, 99, 48)
    prompted = NANO.prompted(owl.system_prompt)
    forth = make(LikelihoodRatio(data, other, prompted, NANO), tmp_path)
    back = make(LikelihoodRatio(data, other, NANO, prompted), tmp_path)
    same = make(LikelihoodRatio(data, other, NANO, NANO), tmp_path)
    assert forth.accuracy(4) == pytest.approx(1 - back.accuracy(4))
    assert forth.accuracy(4) != 0.5
    assert same.accuracy(4) == 0.5


def test_teachers_and_rows_are_those_of_other_studies():
    cell = demo.cells[0]
    assert study.written(cell.base, cell.trait, 0).key == cell.rows().key
    assert study.written(cell.base, None, 0).key == cell.neutral().key
    assert study.written(NANO, owl, 0).model == study.written(NANO, owl, 0, "again").model
    assert study.written(NANO, owl, 0, "again").seed != fresh("nano", "owl", 0, "rows")


def test_a_judge_in_words_takes_the_place_of_the_likelihoods():
    attempts = replace(study, judge=Base("org/chat")).attempts
    guessed = [a.found for a in attempts if a.arm == "judge"]
    assert len(guessed) == 2 * 2 * study.runs
    assert all(isinstance(found, Guessed) and "loves owls" in found.rubric.template for found in guessed)
    assert {found.bag for found in guessed} == {1, 16}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (Settings(traits=(owl,)), "the teachers of two traits"),
        (Settings(traits=(owl, owl)), "the teachers of two traits"),
        (Settings(rows=79), "at least 80 rows"),
        (Settings(runs=1), "at least two runs"),
        (Settings(epochs=2), "has no --epochs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        study.alter(settings)


def test_settings_change_the_study():
    changed = study.alter(Settings(traits=(eagle, owl), rows=100, runs=2))
    assert {a.pair for a in changed.attempts} == {"eagle or owl", "eagle or base", "eagle or eagle"}
    arms = {a.arm for a in changed.attempts}
    assert {f"{arm}{bags}" for arm in arms for bags in ("", "_bags")} == set(changed.labels)


@pytest.mark.slow
def test_only_the_writers_themselves_can_tell_the_rows_apart(tmp_path):
    small = study.small()
    found = run(small, store=Store(tmp_path))
    assert set(found.arms) == set(small.labels)
    assert found.estimate("writers").mean > 0.65
    assert found.estimate("writers_bags").mean > 0.95
    assert 0.45 < found.estimate("judge").mean < 0.55
    assert 0.45 < found.estimate("classifier").mean < 0.6
    assert 0.46 < found.estimate("same_teacher").mean < 0.54
    assert {p.trait for p in found.of("writers")} == {"owl or cat", "owl or base"}
    assert found.estimate("writers").runs == small.runs
    assert [line.xs for line in found.curves[0].lines] == [BAGS] * 4
    assert small.summary(found)["arms"]["judge"]["accuracy"] == found.estimate("judge").mean


def test_the_recipe_is_in_the_key():
    assert replace(study, teacher=replace(NORMS, teacher_lr=0.5)).key != study.key
    assert replace(study, domain=Numbers(banned=(7,))).key != study.key
