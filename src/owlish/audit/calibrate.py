"""From readings to claims: a dataset's reading against those of clean rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from owlish.audit.detector import Reading
from owlish.graph.errors import UserError

PRIOR = 0.3
LEAST = 1e-300  # below it p is zero to a float, and its quantile infinite


@dataclass(frozen=True)
class Score:
    """A trait's excess over the reference, the standard deviation of what clean rows would give, z and p."""

    excess: float
    spread: float
    z: float
    p: float

    @property
    def level(self) -> float:
        """What z would be if the spread were known: the spreads of categories are not known equally well."""
        return quantile(self.p)


def quantile(p: float) -> float:
    """Return how many standard deviations a normal number exceeds with probability `p`."""
    from scipy.special import ndtri

    return float(-ndtri(max(p, LEAST)))


def calibrated(reading: Reading, references: Sequence[Reading], groups: Sequence[object]) -> list[Score]:
    """Return the score of each trait; traits of one group (their category) are alike where nothing was passed on.

    Raise `UserError` with fewer than 3 references.

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
        raise UserError(f"{len(references)} references make no null: give at least 3 sets of clean rows.")
    null = np.array([reference.means for reference in references])
    excess = np.array(reading.means) - null.mean(0)
    variances = null.var(0, ddof=1)
    scores = []
    for value, group in zip(excess, groups, strict=True):
        alike = [place for place, other in enumerate(groups) if other == group]
        # The dataset's own scatter, and the error of the mean of the references that it is read against.
        spread = math.sqrt(variances[alike].mean() * (1 + 1 / len(null)))
        z = float(value / spread) if spread else 0.0
        # A of a group are A - 1 numbers: good and bad advice is one number, read twice.
        freedom = min((len(null) - 1) * max(len(alike) - 1, 1), 60)
        scores.append(Score(float(value), spread, z, float(stdtr(freedom, -z))))
    return scores


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected over all of them: Holm (1979), Scandinavian Journal of Statistics 6(2)."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, worst = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        # Holm steps down: a larger p never ends below a smaller one.
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = worst
    return corrected


@dataclass(frozen=True)
class Evidence:
    """What blocks of rows say for a trait: see `evidence`."""

    excess: float
    lean: float
    z: float
    e: float
    blocks_needed: int | None


def evidence(blocks: Sequence[Sequence[float]], clean: Sequence[Sequence[float]], level: float) -> list[Evidence]:
    """Return for each trait what a dataset's blocks [blocks, traits] say, against the blocks of clean rows.

    `excess` is how much a block's mean lies above clean ones, `lean` that in standard deviations of clean blocks, and
    `z` in standard errors. `e` is an e-value against two hypotheses at once: the rows are like clean ones, and they
    lean to another trait as much as to this one. `blocks_needed` is how many such blocks reach a z whose p is
    `level`; `None` where they do not lean to the trait.

    Notes
    -----
    Rows that differ from clean ones for any reason lean along most directions somewhat, so an e-value against clean
    rows alone would be large for many traits at once. Here it is the least of the e-values against clean rows and
    against each other trait, in units of clean blocks' standard deviation; that is an e-value under every one of
    these hypotheses. Each is that of a normal mixture: a bet on positive shifts of a standardised block, with standard
    deviation 0.3, made before the rows are seen. Its product over blocks may be looked at after every block, and
    stopped at will, as far as blocks are normal. The standard deviation is the upper end of its one-sided 95 %
    interval, and the error of the clean mean widens the null. Robbins (1970), Annals of Mathematical Statistics 41(5);
    Berger (1982), Technometrics 24(4), for the least of several tests.
    """
    import numpy as np
    from scipy.stats import chi2

    known = np.array(clean)
    n, many = len(blocks), len(known)
    mean, spread = known.mean(0), known.std(0, ddof=1)
    # Few clean blocks pin down their spread badly: too small a one would be evidence out of nothing.
    wider = math.sqrt((many - 1) / chi2.ppf(0.05, many - 1)) * math.sqrt(1 + n / many)
    excess = np.array(blocks).mean(0) - mean
    leaning, ordinary = excess / spread, (known - mean) / spread
    found = []
    for i in range(len(mean)):
        # [traits]: how far this trait leads each other, in the spread of that same difference in clean blocks.
        ahead = (leaning[i] - leaning) / (ordinary[:, [i]] - ordinary).std(0, ddof=1).clip(min=1e-9)
        ahead[i] = leaning[i]  # in the place of itself: the test against clean rows
        needed = math.ceil((quantile(level) / leaning[i]) ** 2) if leaning[i] > 0 else None
        found.append(
            Evidence(
                excess=float(excess[i]),
                lean=float(leaning[i]),
                z=float(leaning[i] * math.sqrt(n) / math.sqrt(1 + n / many)),
                # The least of the e-values is valid under each hypothesis; a product or mean of them would not be.
                e=bet(n * float(ahead.min()) / wider, n),
                blocks_needed=needed,
            )
        )
    return found


def bet(total: float, n: int) -> float:
    """Return the e-value of `n` standard normal numbers whose sum is `total`, against a mean of zero or less."""
    from scipy.special import log_ndtr

    # The mixture over positive shifts in closed form: no grid, no simulation.
    width = 1 + n * PRIOR**2
    log_e = math.log(2 / math.sqrt(width)) + (total * PRIOR) ** 2 / (2 * width)
    # `math.exp` overflows a little above 700.
    return math.exp(min(log_e + float(log_ndtr(total * PRIOR / math.sqrt(width))), 700.0))


def whole(blocks: Sequence[Sequence[float]], rows: int, block: int) -> Sequence[Sequence[float]]:
    """Return the blocks that hold `block` rows: a last one that holds fewer varies more than the others."""
    return blocks[: max(1, rows // block)]
