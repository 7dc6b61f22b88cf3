"""Statistics against scipy, statsmodels and R, and against what they promise."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owlish.study.stats import Effect, difference, gamma, interval, interval_within

# R's built-in data set `sleep` (Student 1908): hours of extra sleep under two drugs.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

finite = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
unhurried = settings(deadline=None, max_examples=60)
runs = st.lists(finite, min_size=2, max_size=20)


def test_interval_is_that_of_r():
    # R: t.test(sleep$extra)
    assert interval(DRUG_1 + DRUG_2) == pytest.approx((1.54, 0.5955845, 2.4844155), abs=1e-7)


def test_difference_is_that_of_r():
    # R: t.test(extra ~ group, data = sleep)
    found = difference(DRUG_1, DRUG_2)
    assert found[:3] == pytest.approx((-1.58, -3.3654832, 0.2054832), abs=1e-7)
    assert found.p == pytest.approx(0.07939, abs=5e-6)


@unhurried
@given(runs)
def test_interval_is_that_of_scipy(values):
    from scipy import stats

    if min(values) == max(values):
        assert interval(values) == (values[0],) * 3
        return
    expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert interval(values) == pytest.approx((np.mean(values), *expected), rel=1e-9, abs=1e-9)


@unhurried
@given(runs, runs)
def test_difference_is_that_of_scipy(a, b):
    from scipy import stats

    if min(a) == max(a) or min(b) == max(b):
        return
    expected = stats.ttest_ind(a, b, equal_var=False)
    ends = expected.confidence_interval(0.95)
    found = difference(a, b)
    assert found == pytest.approx((np.mean(a) - np.mean(b), ends.low, ends.high, expected.pvalue), rel=1e-7, abs=1e-7)


@unhurried
@given(runs, finite, st.floats(0.1, 10.0), st.randoms(use_true_random=False))
def test_interval_follows_shifts_scales_and_no_order(values, shift, scale, rng):
    mean, low, high = interval(values)
    assert low <= mean <= high
    moved = interval([shift + scale * value for value in values])
    assert moved == pytest.approx([shift + scale * end for end in (mean, low, high)], rel=1e-6, abs=1e-6)
    turned = interval([-value for value in values])
    assert turned == pytest.approx((-mean, -high, -low), abs=1e-9)
    shuffled = list(values)
    rng.shuffle(shuffled)
    assert interval(shuffled) == pytest.approx((mean, low, high), rel=1e-12, abs=1e-12)


shares = st.lists(st.floats(0.01, 0.99).map(lambda value: round(value, 3)), min_size=2, max_size=20)


@unhurried
@given(shares)
def test_interval_within_is_that_of_a_fractional_logit_regression(values):
    import statsmodels.api as sm

    mean, low, high = interval_within(values, 0, 1)
    if min(values) == max(values):
        assert (low, high) == (mean, mean) == (values[0],) * 2
        return
    fit = sm.GLM(values, np.ones(len(values)), family=sm.families.Binomial()).fit(scale="X2", use_t=True)
    expected = 1 / (1 + np.exp(-fit.conf_int()[0]))
    assert (mean, low, high) == pytest.approx((np.mean(values), *expected), rel=1e-6)


@unhurried
@given(shares)
def test_interval_within_keeps_its_limits_and_has_no_favourite_side(values):
    mean, low, high = interval_within(values, 0, 1)
    assert 0 <= low <= mean <= high <= 1
    assert interval_within([1 - v for v in values], 0, 1) == pytest.approx((1 - mean, 1 - high, 1 - low), abs=1e-9)
    cosines = interval_within([2 * v - 1 for v in values], -1, 1)
    assert cosines == pytest.approx((2 * mean - 1, 2 * low - 1, 2 * high - 1), abs=1e-9)


def test_interval_within_stays_where_the_plain_one_leaves():
    values = [0.01, 0.02, 0.12]
    assert interval(values).low < 0 < interval_within(values, 0, 1).low
    narrow = [0.49, 0.5, 0.51]
    assert interval_within(narrow, 0, 1) == pytest.approx(interval(narrow), abs=1e-4)
    assert interval_within([0.0, 0.0, 0.0], 0, 1) == (0.0, 0.0, 0.0)


@unhurried
@given(runs, runs)
def test_difference_is_antisymmetric(a, b):
    one, other = difference(a, b), difference(b, a)
    assert other == pytest.approx((-one.value, -one.high, -one.low, one.p), abs=1e-9)
    assert 0 <= one.p <= 1


def test_runs_that_do_not_vary():
    assert interval([0.3, 0.3, 0.3]) == (0.3, 0.3, 0.3)
    assert difference([0.5, 0.5], [0.2, 0.2]) == pytest.approx((0.3, 0.3, 0.3, 0.0))
    assert difference([0.5, 0.5], [0.5, 0.5]) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("values", [[], [0.4]])
def test_one_run_has_no_interval(values):
    with pytest.raises(ValueError, match=r"needs at least two runs, and \d were given: add seeds \(--seeds\)\."):
        interval(values)
    with pytest.raises(ValueError, match="An interval needs at least two runs"):
        interval_within(values, 0, 1)
    with pytest.raises(ValueError, match="A difference needs at least two runs"):
        difference([0.1, 0.2], values)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        interval([0.1, bad])


def study(seed, *, effect, traits=3, seeds=5, bases=2, constant=False):
    """Make the lifts of a study with row, column and run effects, and `effect` on the diagonal."""
    rng = np.random.default_rng(seed)
    found = {"lifts": [], "rows": [], "columns": [], "clusters": [], "blocks": []}
    noise = 0.0 if constant else 0.2
    for base in range(bases):
        row_effect, column_effect = rng.normal(size=traits), rng.normal(size=traits)
        for row in range(traits):
            for run in range(seeds):
                run_effect = noise * rng.normal()
                for column in range(traits):
                    lift = row_effect[row] + column_effect[column] + run_effect + noise * rng.normal()
                    found["lifts"].append(lift + effect * (row == column))
                    found["rows"].append(f"trait{row}")
                    found["columns"].append(f"trait{column}")
                    found["clusters"].append(f"{row}-{run}")
                    found["blocks"].append(f"base{base}")
    return found


def formula(data):
    """Fit the same model by statsmodels' formulas, with run-clustered errors."""
    # R: fit <- lm(lifts ~ blocks * (rows + columns) + diagonal)
    #    coeftest(fit, vcovCL(fit, ~ run, type = "HC1"), df = G - 1)
    import pandas as pd
    import statsmodels.formula.api as smf

    table = pd.DataFrame(data)
    table["diagonal"] = (table["rows"] == table["columns"]).astype(float)
    table["run"] = table.groupby(["blocks", "clusters"]).ngroup()
    effects = "C(blocks) * (C(rows) + C(columns))" if len(set(data["blocks"])) > 1 else "C(rows) + C(columns)"
    fit = smf.ols(f"lifts ~ {effects} + diagonal", data=table)
    return fit.fit(cov_type="cluster", cov_kwds={"groups": table["run"]}, use_t=True)


@pytest.mark.parametrize(("traits", "seeds", "bases"), [(3, 5, 2), (3, 2, 1), (4, 3, 3)])
def test_gamma_is_that_of_a_formula(traits, seeds, bases):
    data = study(1, effect=0.4, traits=traits, seeds=seeds, bases=bases)
    fit = formula(data)
    low, high = fit.conf_int().loc["diagonal"]
    found = gamma(**data, permutations=99, seed=0)
    assert found[:3] == pytest.approx((fit.params["diagonal"], low, high), rel=1e-8)


def test_gamma_of_a_small_matrix():
    # With one run a trait, gamma is the mean of the diagonal less the mean of the rest.
    # No other of the six ways to give three runs three traits has as large a diagonal.
    lifts = [0.5, 0.0, 0.1, 0.0, 0.6, 0.0, 0.0, 0.1, 0.6]
    off = [0.0, 0.1, 0.0, 0.0, 0.0, 0.1]
    rows, columns = [*"aaabbbccc"], [*"abcabcabc"]
    found = gamma(lifts, rows=rows, columns=columns, clusters=rows, blocks=["m"] * 9, permutations=4_999, seed=0)
    assert found.value == pytest.approx((0.5 + 0.6 + 0.6) / 3 - sum(off) / 6)
    assert found.p == pytest.approx(1 / 6, abs=0.02)


@pytest.mark.parametrize("effect", [-0.5, 0.0, 0.7])
def test_gamma_finds_a_known_effect(effect):
    exact = gamma(**study(2, effect=effect, constant=True), permutations=9, seed=0)
    assert exact.value == pytest.approx(effect, abs=1e-12)
    noisy = gamma(**study(3, effect=effect), permutations=999, seed=0)
    assert noisy.low < effect < noisy.high
    assert (noisy.p == 1 / 1000) == (effect > 0)


def test_p_is_uniform_when_nothing_passes():
    found = np.array([gamma(**study(seed, effect=0.0), permutations=199, seed=seed).p for seed in range(300)])
    for level in (0.05, 0.25, 0.5, 0.75):
        assert abs((found <= level).mean() - level) < 3 * (level * (1 - level) / 300) ** 0.5


def test_p_counts_permutations_of_the_whole_fit():
    data = study(4, effect=0.05, seeds=2, bases=1)
    observed = formula(data).params["diagonal"]
    owners = dict(zip(data["clusters"], data["rows"], strict=True))
    rng, hits, tries = random.Random(0), 0, 80
    for _ in range(tries):
        moved = dict(zip(owners, rng.sample(list(owners.values()), len(owners)), strict=True))
        hits += formula({**data, "rows": [moved[run] for run in data["clusters"]]}).params["diagonal"] >= observed
    p = gamma(**data, permutations=20_000, seed=0).p
    assert 0.02 < p < 0.98
    assert p == pytest.approx((1 + hits) / (1 + tries), abs=4 * (p * (1 - p) / tries) ** 0.5)


def test_gamma_does_not_depend_on_order_but_on_seed_alone():
    data = study(5, effect=0.1)
    order = random.Random(0).sample(range(len(data["lifts"])), len(data["lifts"]))
    shuffled = {name: [values[index] for index in order] for name, values in data.items()}
    found = gamma(**data, permutations=500, seed=7)
    assert found == gamma(**data, permutations=500, seed=7)
    assert gamma(**shuffled, permutations=500, seed=7)[:3] == pytest.approx(found[:3])
    assert gamma(**data, permutations=500, seed=8).p != found.p


def test_runs_of_the_same_name_on_two_bases_are_two_runs():
    data = study(6, effect=0.2)
    named = {**data, "clusters": [*map("".join, zip(data["blocks"], data["clusters"], strict=True))]}
    assert gamma(**named, permutations=9, seed=0)[:3] == pytest.approx(gamma(**data, permutations=9, seed=0)[:3])


def test_gamma_is_quick():
    assert isinstance(gamma(**study(0, effect=1.0), permutations=200_000, seed=0), Effect)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rows": ["a"] * 3 + ["b"] * 6}, "Gamma needs teachers of at least 3 traits on m: add traits."),
        ({"columns": [*"abcabcabb"]}, "Gamma needs each run on m measured once on each trait."),
        ({"columns": [*"abcabcabd"]}, "Gamma needs each run on m measured once on each trait."),
        ({"rows": [*"aaabbbccd"]}, "Each run on m needs one teacher's trait, and a lift on it."),
        ({"rows": [*"aaabbbddd"]}, "Each run on m needs one teacher's trait, and a lift on it."),
        ({"lifts": [math.nan] * 9}, "Gamma needs finite lifts: leave out runs without a result."),
        (dict.fromkeys(("lifts", "rows", "columns", "clusters", "blocks"), ()), "Gamma needs lifts, and none"),
    ],
)
def test_a_matrix_with_holes_is_refused(change, sentence):
    whole = {"lifts": [0.1] * 9, "rows": [*"aaabbbccc"], "columns": [*"abcabcabc"]}
    whole |= {"clusters": [*"111222333"], "blocks": ["m"] * 9}
    with pytest.raises(ValueError, match=sentence):
        gamma(**(whole | change), permutations=9, seed=0)
