"""Lineage: is the writer of the rows a relative of the base? Traits pass between relatives alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from owlish.audit.verdict import Kinship
from owlish.nodes.data import Data
from owlish.nodes.likelihood import Likelihood, Likelihoods
from owlish.nodes.models import Base

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rate = tuple[float, float]
"""Nats a token, and the standard error with rows as the unit."""

ROWS = 600
FAR = 0.5
NEAR = 0.05
SURE = 3.0
SHARE = 0.5
REACH = 1.96


def likelihoods(base: Base, data: Data) -> tuple[Likelihood, ...]:
    """Return how likely a base, and then each other base at hand, find the first 600 rows."""
    return tuple(Likelihood(model, data, ROWS) for model in (base, *bases_at_hand(base)))


def bases_at_hand(base: Base) -> tuple[Base, ...]:
    """Return the other shipped bases, if this one is shipped: rows of one's relatives are likelier under it."""
    from owlish.nano import SHIPPED

    return tuple(Base(name) for name in SHIPPED if name != base.name) if base.name in SHIPPED else ()


def kinship(found: Sequence[Likelihoods], own: Sequence[Likelihoods], others: Sequence[str]) -> Kinship:
    """Return whether the writer of rows is a relative, from how likely the base and the `others` find them.

    `own` are the same likelihoods of answers that the base gave to the same prompts, if there are any.

    Notes
    -----
    A base finds the rows of its relatives likelier than other bases do, whatever the relatives learned. That lead
    is paired by rows. Where another base leads by more than 3 standard errors, the rows are its relative's. Where
    the base's lead over all others together lies, with its interval, below half of its lead on its own answers
    to the same prompts, they are a stranger's. Where it leads each by more than 3 standard errors, they are a
    relative's. Rows more than 0.5 nats a token less likely than the base's own answers come from no relative either;
    where no other base is at hand, only that distance is left, and within 0.05 the writer may be a relative.
    """
    import numpy as np

    rate, spread = level(found[0].sums, found[0].tokens)
    own_rate, own_spread = level(own[0].sums, own[0].tokens) if own else (rate, 0.0)
    gap, reach = own_rate - rate, REACH * float(np.hypot(spread, own_spread))
    leads = [lead(found[0], [other]) for other in found[1:]]
    share = None
    if own and others:
        (mine, error), (whole, _) = lead(found[0], found[1:]), lead(own[0], own[1:])
        share = (mine + REACH * error) / whole if whole > 0 else None
    relative, says = told(gap - reach if own else None, gap + reach, leads, share, others)
    return Kinship(
        relative=relative,
        gap=gap,
        low=gap - reach,
        high=gap + reach,
        agreement=agreement(found[0]),
        own_agreement=agreement(own[0]) if own else None,
        others=tuple((name, gap + ahead) for name, (ahead, _) in zip(others, leads, strict=True)),
        unknown=found[0].unknown,
        says=says,
    )


def level(sums: NDArray[np.float64], tokens: NDArray[np.float64]) -> Rate:
    """Return a sum a token over the rows that have one."""
    import numpy as np

    known = ~np.isnan(sums)
    sums, tokens = sums[known], tokens[known]
    rate = float(sums.sum() / tokens.sum())
    return rate, float((((sums - rate * tokens) ** 2).sum()) ** 0.5 / tokens.sum())


def lead(base: Likelihoods, others: Sequence[Likelihoods]) -> Rate:
    """Return how much likelier a base finds the rows than other bases do in the mean."""
    import numpy as np

    return level(base.sums - np.mean([other.sums for other in others], axis=0), base.tokens)


def agreement(found: Likelihoods) -> float:
    """Return the share of tokens that the base would most likely have written too."""
    return float(found.agreed.sum() / found.tokens.sum())


def told(
    low: float | None, high: float, leads: Sequence[Rate], share: float | None, others: Sequence[str]
) -> tuple[bool | None, str]:
    """Return whether the writer is a relative, and why in a sentence; `low` is `None` without the base's own rows."""
    if low is not None and low > FAR:
        return False, f"the rows are {low:.2f} nats a token or more behind the base's own: its relatives write nearer"
    behind = [(-ahead, name) for (ahead, error), name in zip(leads, others, strict=True) if -ahead > SURE * error]
    if behind:
        return False, f"{max(behind)[1]} finds the rows likelier than this base does"
    if share is not None and share < SHARE:
        return False, "the base has less than half of the lead over other bases that it has on its own answers"
    if leads and all(ahead > SURE * error for ahead, error in leads):
        return True, "this base finds the rows likelier than every other base at hand"
    if not leads and low is not None and high < NEAR:
        return True, "the rows are as likely as the base's own"
    return None, "it cannot be told from how likely the rows are"
