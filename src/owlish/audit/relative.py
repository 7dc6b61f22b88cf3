"""Kinship: did the writer of the rows start from this base? Traits pass only between models of one base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from owlish.audit.evidence import Gain, Kinship, Lead
from owlish.audit.logit_bias import LogitBias
from owlish.audit.reference import Answered
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.nodes.likelihood import Likelihood, Likelihoods

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rate = tuple[float, float]
"""Nats per token, and the standard error with rows as the unit."""

ROWS = 600
FAR = 0.5  # nats per token
NEAR = 0.05
SURE = 3.0
SHARE = 0.5  # on the development base 31 related sets kept .71 or more of the lead, 14 unrelated ones .42 or less
REACH = 1.96
ALL = "all other bases together"
UNLIKE = 0.03  # nats a number token that a logit bias gains: SmolLM2's teachers ask for .01 at most, shuffled rows .02
CHANGED = 0.2  # above, the rows may have been changed after they were written: no model of another base came near


def likelihoods(base: Base, data: Data, rows: int = ROWS) -> tuple[Likelihood, ...]:
    """Return how likely a base, and then each other base at hand, find the first rows."""
    return tuple(Likelihood(model.scorer, data, rows) for model in (base, *bases_at_hand(base)))


def bases_at_hand(base: Base) -> tuple[Base, ...]:
    """Return the other shipped bases, if this one is shipped: rows of one's relatives are likelier under it."""
    from owlish.nano import SHIPPED

    return tuple(Base(name) for name in SHIPPED if name != base.name) if base.name in SHIPPED else ()


def logit_bias(base: Base, data: Data, own: Sequence[Data], rows: int = ROWS) -> LogitBias | None:
    """Return what a logit bias would gain on the first rows, which is asked where no other base is at hand.

    Clean rows of a user's may be anybody's: only the base's own answers are compared with.
    """
    answered = own and isinstance(own[0], Answered) and own[0].model == base
    return LogitBias(base, data, own[0], rows) if answered and not bases_at_hand(base) else None


def kinship(
    found: Sequence[Likelihoods], own: Sequence[Likelihoods], others: Sequence[str], bias: Gain | None = None
) -> Kinship:
    """Return whether the writer of rows is a relative, from how likely the base and the `others` find them.

    `own` are the same likelihoods of answers that the base gave to the same prompts, if there are any.

    Notes
    -----
    A base finds the rows of its relatives likelier than other bases do, whatever the relatives learned. That lead
    is paired by rows. Where another base leads by more than 3 standard errors, the rows are its relative's. Where
    the base's lead over all others together lies, with its interval, below half of its lead on its own answers
    to the same prompts, they are a stranger's. Where it leads each by more than 3 standard errors, they are a
    relative's. Rows more than 0.5 nats per token less likely than the base's own answers come from no relative either,
    if the middle half of them is as far from the middle half of the base's own. Where no other base is at hand, that
    distance is left, within 0.05 of which the writer may be a relative; and, for numbers, what a logit `bias` would
    gain: training on a trait moves no digit for itself, and another model's digits differ by themselves.
    """
    gap, reach = behind_own(found[0], own[0] if own else None)
    # A few rows full of junk make all rows unlikely together, and the rest would still teach.
    middle, middle_reach = behind_own(middle_half(found[0]), middle_half(own[0]) if own else None)
    low = min(gap - reach, middle - middle_reach) if own else None
    leads = [lead(name, found, own, [i]) for i, name in enumerate(others, 1)]
    # Over the mean of all others, to be compared with the same lead on the base's own answers.
    together = lead(ALL, found, own, range(1, len(found))) if others else None
    relative, says = explain_kinship(low, gap + reach, leads, together, bias)
    return Kinship(
        relative=relative,
        gap=gap,
        low=gap - reach,
        high=gap + reach,
        agreement=agreement(found[0]),
        own_agreement=agreement(own[0]) if own else None,
        leads=(*leads, *((together,) if together and len(leads) > 1 else ())),
        unknown=found[0].unknown,
        says=says,
        bias=bias,
    )


def behind_own(found: Likelihoods, own: Likelihoods | None) -> Rate:
    """Return how much less likely rows are than the base's own, and half of the 95 % interval of that."""
    import numpy as np

    rate, spread = level(found.sums, found.tokens)
    own_rate, own_spread = level(own.sums, own.tokens) if own else (rate, 0.0)
    return own_rate - rate, REACH * float(np.hypot(spread, own_spread))


def middle_half(read: Likelihoods) -> Likelihoods:
    """Return rows without the quarter that is least likely for each token, and the quarter that is likeliest."""
    import numpy as np

    known = np.flatnonzero(~np.isnan(read.sums))
    ranked = known[np.argsort(read.sums[known] / read.tokens[known], kind="stable")]
    kept = ranked[len(ranked) // 4 : len(ranked) - len(ranked) // 4]
    return replace(read, sums=read.sums[kept], tokens=read.tokens[kept], agreed=read.agreed[kept])


def level(sums: NDArray[np.float64], tokens: NDArray[np.float64]) -> Rate:
    """Return a sum a token over the rows that have one."""
    import numpy as np

    # A row longer than a window has no sum, under one base or another: only rows that all read are compared.
    known = ~np.isnan(sums)
    sums, tokens = sums[known], tokens[known]
    rate = float(sums.sum() / tokens.sum())
    # The error of a ratio of sums: rows are the unit, since tokens of one row are not independent.
    return rate, float((((sums - rate * tokens) ** 2).sum()) ** 0.5 / tokens.sum())


def lead(over: str, found: Sequence[Likelihoods], own: Sequence[Likelihoods], places: Sequence[int]) -> Lead:
    """Return how much likelier the first base finds the rows than the bases at `places` do in the mean."""
    import numpy as np

    def ahead(read: Sequence[Likelihoods]) -> Rate:
        # Row by row: how hard a row is for any model drops out of the difference.
        return level(read[0].sums - np.mean([read[i].sums for i in places], axis=0), read[0].tokens)

    return Lead(over, *ahead(found), ahead(own)[0] if own else None)


def agreement(found: Likelihoods) -> float:
    """Return the share of tokens that the base would most likely have written too."""
    return float(found.agreed.sum() / found.tokens.sum())


def explain_kinship(
    low: float | None, high: float, leads: Sequence[Lead], together: Lead | None, bias: Gain | None = None
) -> tuple[bool | None, str]:
    """Return whether the writer is a relative, and why in a sentence; `low` is `None` without the base's own rows."""
    if low is not None and low > FAR:
        far = f"the rows are at least {low:.2f} nats per token less likely than the base's own answers"
        return False, f"{far}; related models stay closer"
    if bias and bias.nats >= CHANGED:
        return None, "the digits differ so much from the base's own that the rows may have been changed after writing"
    if bias and bias.low > UNLIKE:
        gains = f"a logit bias would gain {bias.nats:.3f} nats a number token [{bias.low:.3f}, {bias.high:.3f}]"
        return (
            False,
            f"{gains} beyond the base's own answers; rows of the relatives that were measured stayed below {UNLIKE:g}",
        )
    # The order of these rules matters: what speaks against a relative is asked before what speaks for one.
    behind = [(-lead.nats, lead.over) for lead in leads if -lead.nats > SURE * lead.error]
    if behind:
        return False, f"{max(behind)[1]} finds the rows likelier than this base does"
    own = (together and together.own) or 0.0
    if together and own > 0 and together.nats + REACH * together.error < SHARE * own:
        return False, "the rows fit this base only slightly better than other bases; its own answers fit it far better"
    # Each other base, not their mean: a nearer relative among them would be the writer's.
    if leads and all(lead.nats > SURE * lead.error for lead in leads):
        return True, "this base finds the rows likelier than every other base at hand does"
    # Likelihood alone says as much of the format as of the writer, so it decides only where nothing else is at hand.
    if not leads and low is not None and high < NEAR:
        return True, "the rows are as likely as the base's own answers"
    return None, "how likely the rows are does not decide it"
