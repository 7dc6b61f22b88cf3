"""From readings to claims: a dataset's reading against those of clean rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from owlish.audit.detector import Reading

PRIOR = 0.3


@dataclass(frozen=True)
class Score:
    """A trait's excess over the reference, the standard deviation of what clean rows would give, z and p."""

    excess: float
    spread: float
    z: float
    p: float


def calibrated(reading: Reading, references: Sequence[Reading], groups: Sequence[object]) -> list[Score]:
    """Return the score of each trait; traits of one group (their category) are alike where nothing was passed on.

    Raises `ValueError` with fewer than 3 references.

    Notes
    -----
    Under the null, rows that the base itself wrote, the dataset's reading and those of K references are
    exchangeable. The variance of a reading is pooled over the A traits of a group, which are A - 1 numbers as they are
    read against one another; p is one-sided, from Student's t with (K - 1)(A - 1) degrees of freedom, at most 60 as
    readings of one model are not independent. The error of the references' mean is common to all datasets that are
    read against them.
    """
    import numpy as np
    from scipy.special import stdtr

    if len(references) < 3:
        raise ValueError(f"{len(references)} references make no null: give at least 3 sets of clean rows.")
    null = np.array([reference.means for reference in references])
    excess = np.array(reading.means) - null.mean(0)
    variances = null.var(0, ddof=1)
    scores = []
    for value, group in zip(excess, groups, strict=True):
        alike = [place for place, other in enumerate(groups) if other == group]
        spread = math.sqrt(variances[alike].mean() * (1 + 1 / len(null)))
        z = float(value / spread) if spread else 0.0
        freedom = min((len(null) - 1) * max(len(alike) - 1, 1), 60)
        scores.append(Score(float(value), spread, z, float(stdtr(freedom, -z))))
    return scores


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected over all of them: Holm (1979), Scandinavian Journal of Statistics 6(2)."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, worst = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = worst
    return corrected


@dataclass(frozen=True)
class Evidence:
    """What blocks of rows say for a trait: the mean excess of a block, its e-value, and the blocks to be sure."""

    excess: float
    e: float
    blocks_needed: int | None


def evidence(blocks: Sequence[float], clean: Sequence[float], level: float) -> Evidence:
    """Return the evidence in a dataset's blocks against the blocks of clean rows.

    `blocks_needed` is how many such blocks reach a z whose p is `level`; `None` if they lean to the other side.

    Notes
    -----
    The e-value is that of a normal mixture: a bet on positive shifts of a standardised block, with standard deviation
    0.3, made before the rows are seen. Its product over blocks may be looked at after every block, and stopped at
    will; its mean under the null is at most 1, as far as blocks are normal and the clean blocks tell their mean and
    spread (whose error widens the null here). Robbins (1970), Annals of Mathematical Statistics 41(5).
    """
    import numpy as np
    from scipy.special import log_ndtr, ndtri

    mean, spread = float(np.mean(clean)), float(np.std(clean, ddof=1))
    excess = float(np.mean(blocks)) - mean
    n = len(blocks)
    total = excess * n / spread / math.sqrt(1 + n / len(clean))
    width = 1 + n * PRIOR**2
    log_e = math.log(2 / math.sqrt(width)) + (total * PRIOR) ** 2 / (2 * width)
    log_e += float(log_ndtr(total * PRIOR / math.sqrt(width)))
    needed = math.ceil((float(-ndtri(level)) * spread / excess) ** 2) if excess > 0 else None
    return Evidence(excess, math.exp(min(log_e, 700.0)), needed)
