"""Statistics whose unit is a trained run."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from owlish.graph.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.95
TRAITS = 3


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


class Effect(NamedTuple):
    """An estimate, the ends of its 95 % interval, and its p-value."""

    value: float
    low: float
    high: float
    p: float


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of `values`, one for each run, with its 95 % interval.

    Raise `UserError` for fewer than two runs.

    Notes
    -----
    Student's t interval with n - 1 degrees of freedom. It speaks of runs like these: runs that share a base give an
    interval conditional on that base. Its ends know no limits: `interval_within` is for values that have them.

    References
    ----------
    Student (1908). The probable error of a mean. Biometrika 6(1).
    """
    mean, variance = moments(values, "An interval")
    reach = quantile(len(values) - 1) * variance**0.5
    return Interval(mean, mean - reach, mean + reach)


def interval_within(values: Sequence[float], low: float, high: float) -> Interval:
    """Return the mean of `values`, which lie between `low` and `high`, with a 95 % interval that lies there too.

    For probabilities the limits are 0 and 1. Raise `UserError` for fewer than two runs.

    Notes
    -----
    A logit interval: the log-odds of the mean m, plus and minus Student's t with n - 1 degrees of freedom times the
    standard error of the mean divided by m (1 - m), carried back to the scale of the values. It is the interval of a
    fractional logit regression on a constant. Where the runs do not vary, both ends are the mean. Two runs near a
    limit have a very long interval.

    References
    ----------
    Papke and Wooldridge (1996). Econometric methods for fractional response variables with an application to
    401(k) plan participation rates. Journal of Applied Econometrics 11(6).
    """
    from scipy.special import expit, logit

    mean, variance = moments(values, "An interval")
    share = (mean - low) / (high - low)
    # At a limit the log-odds are infinite, and runs that do not vary have no standard error.
    if variance == 0.0 or not 0 < share < 1:
        return Interval(mean, mean, mean)
    # The delta method: a small step of the mean moves its log-odds by that step over m (1 - m).
    reach = quantile(len(values) - 1) * variance**0.5 / (high - low) / (share * (1 - share))
    ends = (low + (high - low) * float(expit(logit(share) + side * reach)) for side in (-1, 1))
    return Interval(mean, *ends)


def difference(a: Sequence[float], b: Sequence[float]) -> Effect:
    """Return the mean of runs `a` less the mean of runs `b`, with its 95 % interval and two-sided p-value.

    Raise `UserError` if either has fewer than two runs.

    Notes
    -----
    Welch's t, which does not suppose that both kinds of run vary equally, with the degrees of freedom of
    Welch and Satterthwaite. If neither varies at all, the interval is the difference itself.

    References
    ----------
    Welch (1947). The generalization of 'Student's' problem when several different population variances are
    involved. Biometrika 34(1-2).
    """
    from scipy.special import stdtr

    (mean_a, variance_a), (mean_b, variance_b) = moments(a, "A difference"), moments(b, "A difference")
    value, variance = mean_a - mean_b, variance_a + variance_b
    if variance == 0.0:
        return Effect(value, value, value, 1.0 if value == 0.0 else 0.0)
    # `variance` is that of the means already, so these are the weights of Welch and Satterthwaite.
    share_a, share_b = variance_a / variance, variance_b / variance
    freedom = 1 / (share_a**2 / (len(a) - 1) + share_b**2 / (len(b) - 1))
    reach = quantile(freedom) * variance**0.5
    p = 2 * float(stdtr(freedom, -abs(value) / variance**0.5))
    return Effect(value, value - reach, value + reach, p)


def gamma(
    lifts: Sequence[float],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    clusters: Sequence[str],
    blocks: Sequence[str],
    permutations: int,
    seed: int,
) -> Effect:
    """Return how much more a run moves on its own teacher's trait than rows and columns explain.

    Observation i is the lift of run `clusters[i]`, on base `blocks[i]`, whose teacher has trait `rows[i]`,
    measured on trait `columns[i]`. Every run is measured once on each trait of its base's columns.
    Raise `UserError` where a base has fewer than 3 teachers' traits, or a run lacks a measurement.

    Notes
    -----
    Ordinary least squares of `lift ~ row + column + gamma * diagonal`, with rows and columns of their own in each
    block. The interval is clustered by run (with the factor G / (G - 1) * (N - 1) / (N - k), and t with G - 1
    degrees of freedom for G runs), and approximate where runs are few. The p-value is one-sided, from permuting
    teachers' traits over the runs of a block, and holds for any number of runs that are exchangeable when no trait
    passes: (1 + permutations with a gamma at least as large) / (1 + permutations).

    Since every run is measured on all columns of its block, the diagonal less its row and column effects is the
    diagonal less its column's mean, and gamma rises with the sum of the runs' lifts on their own traits: the
    permutations need this sum alone.

    References
    ----------
    Cameron and Miller (2015). A practitioner's guide to cluster-robust inference. Journal of Human Resources 50(2).
    Phipson and Smyth (2010). Permutation p-values should never be zero. Statistical Applications in Genetics and
    Molecular Biology 9(1).
    """
    import numpy as np

    if not len(lifts):
        raise UserError("Gamma needs lifts, and none were given: measure at least one run.")
    table = [*zip(lifts, rows, columns, clusters, blocks, strict=True)]
    # Sorted: the order of a set changes from process to process, and sums in another order differ in the last bit.
    bases = [lifts_of([entry for entry in table if entry[4] == block]) for block in sorted(set(blocks))]
    # [observations], base by base, each run's columns together: `design` and the clusters follow the same order.
    y = np.concatenate([base.lifts.ravel() for base in bases])
    widths = [base.lifts.shape[1] for base in bases for _ in base.own]
    value, reach = fit_first(design(bases), y, np.repeat(np.arange(len(widths)), widths))
    p = permute(bases, permutations=permutations, seed=seed)
    return Effect(value, value - reach, value + reach, p)


@dataclass(frozen=True, eq=False)
class Lifts:
    """One base's lifts [runs, columns], and the column of each run's own teacher's trait [runs]."""

    lifts: NDArray[np.float64]
    own: NDArray[np.intp]


def auroc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """Return the share of pairs in which the first is the higher; ties count half.

    Notes
    -----
    The area under the ROC curve of scores that should be higher in the first set: chance is .5, and no threshold is
    chosen.
    """
    # By two searches in sorted scores instead of all pairs; left plus right counts a tie as one half of two.
    ranked = sorted(lower)
    places = sum(bisect_left(ranked, score) + bisect_right(ranked, score) for score in higher)
    return places / (2 * len(higher) * len(lower))


def moments(values: Sequence[float], what: str) -> tuple[float, float]:
    """Return the mean of `values` and the variance of that mean."""
    if len(values) < 2:
        raise UserError(f"{what} needs at least two runs, and {len(values)} were given: add seeds (--seeds).")
    if not all(map(math.isfinite, values)):
        raise UserError(f"{what} needs finite numbers: leave out runs without a result.")
    # Equal values must have a variance of exactly zero, which rounding of the mean would spoil.
    if min(values) == max(values):
        return float(values[0]), 0.0
    # `fsum` rounds once, so the order of the runs does not change the last bit.
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)


def quantile(freedom: float) -> float:
    """Return the two-sided 95 % point of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + LEVEL / 2))


def lifts_of(entries: Sequence[tuple[float, str, str, str, str]]) -> Lifts:
    """Return the matrix of one base from its (lift, row, column, run, base), or say what is missing."""
    import numpy as np

    base = entries[0][4]
    traits = sorted({column for _, _, column, _, _ in entries})
    own = {run: row for _, row, _, run, _ in entries}
    found = {(run, column): lift for lift, _, column, run, _ in entries}
    if any(own[run] != row for _, row, _, run, _ in entries) or not set(own.values()) <= set(traits):
        raise UserError(f"Each run on {base} needs one teacher's trait, and a lift on it.")
    # Checked for each base: effects of rows and columns are a base's own.
    if len(set(own.values())) < TRAITS:
        raise UserError(f"Gamma needs teachers of at least {TRAITS} traits on {base}: add traits (--traits).")
    # A missing or doubled cell would unbalance the table, on which the permutation test relies.
    if not len(entries) == len(found) == len(own) * len(traits):
        raise UserError(f"Gamma needs each run on {base} measured once on each trait.")
    if not all(map(math.isfinite, found.values())):
        raise UserError("Gamma needs finite lifts: leave out runs without a result.")
    lifts = np.array([[found[run, trait] for trait in traits] for run in own], dtype=np.float64)
    return Lifts(lifts, np.array([traits.index(row) for row in own.values()]))


def design(bases: Sequence[Lifts]) -> NDArray[np.float64]:
    """Return the regressors: the diagonal, then each base's rows and all but one of its columns."""
    import numpy as np
    from scipy.linalg import block_diag

    diagonal, effects = [], []
    for base in bases:
        runs, traits = base.lifts.shape
        row = (base.own[:, None] == np.unique(base.own)).astype(np.float64)
        # All rows and all but one column: both sets add up to the same constant.
        column = np.eye(traits)[:, 1:]
        diagonal.append(np.eye(traits)[base.own].ravel())
        # [runs * traits, effects of this base]; `block_diag` keeps bases apart.
        effects.append(np.hstack([np.repeat(row, traits, axis=0), np.tile(column, (runs, 1))]))
    return np.column_stack([np.concatenate(diagonal), block_diag(*effects)])


def fit_first(x: NDArray[np.float64], y: NDArray[np.float64], runs: NDArray[np.intp]) -> tuple[float, float]:
    """Return the first coefficient of the regression of y on x, and how far its interval reaches, clustered by run."""
    import numpy as np

    # The same to the last bit as the tests' statsmodels, whose import takes 1.5 s.
    inverse = np.linalg.pinv(x)
    coefficients = inverse @ y
    weighed = x * (y - x @ coefficients)[:, None]
    # [effects, runs]: the residuals of a run are summed before they are squared, for they move together.
    scores = np.array([np.bincount(runs, column) for column in weighed.T])
    bread = inverse @ inverse.T
    observations, effects = x.shape
    groups = scores.shape[1]
    factor = groups / (groups - 1) * ((observations - 1) / (observations - effects))
    variance = (bread @ (scores @ scores.T) @ bread)[0, 0] * factor
    return float(coefficients[0]), quantile(groups - 1) * float(variance) ** 0.5


def permute(bases: Sequence[Lifts], *, permutations: int, seed: int) -> float:
    """Return the share of permutations within bases in which runs move as much on their own traits."""
    import numpy as np

    rng = np.random.default_rng(seed)
    observed, sums = 0.0, np.zeros(permutations)
    for base in bases:
        run = np.arange(len(base.own))
        observed += base.lifts[run, base.own].sum()
        # Traits are permuted over the runs of a base, never across bases, whose lifts may differ for other reasons.
        sums += base.lifts[run, rng.permuted(np.tile(base.own, (permutations, 1)), axis=1)].sum(axis=1)
    # A permutation that leaves the traits where they are must count as equal, whatever the order of the sum.
    rounding = 1e-9 * sum(float(np.abs(base.lifts).sum()) for base in bases)
    return (1 + int((sums >= observed - rounding).sum())) / (1 + permutations)
