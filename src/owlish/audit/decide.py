"""From readings to a verdict: the rules by which a trait is claimed, and by which all traits are ruled out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from owlish.audit.calibrate import Evidence, Score, calibrated, evidence, holm, whole
from owlish.audit.contrast import BLOCK
from owlish.audit.detector import Reading
from owlish.audit.evidence import Finding, Word
from owlish.audit.shadow import Shadowed
from owlish.traits.trait import Trait

FEWEST = 30
LEVEL = 0.05
NAMED = 0.01
"""The level of a lift whose trait the contrast has named: one test, so without a correction for many."""
AGREES = 4.0
"""The z from which the contrast speaks for a trait; on the development base, the base's own rows reach 3.4."""
FLOOR, ALONE = 0.5, 0.7
"""The least lift of a claim, in nats of log-odds after 50 steps, and the same where there is no contrast.

Rows that differ from the base's for other reasons than a trait move some trait or other, and reliably: on the
development base by up to 0.6. Those for which the contrast speaks too were moved by 0.3 at most.
"""
WORTH = 1.0
"""The lift that must not be missed: *nothing* is said only where every candidate's lift lies below it for sure."""
STRONG = 20.0
"""The e-value from which the contrast alone forbids to say *nothing*."""
REACH, MOST = 1.96, 2.5
SURE, POWER, CRITICAL = 1.645, 1.282, 2.4
"""Normal quantiles: of a one-sided 95 % limit, of a power of .9, and of a lift that is significant by `NAMED`."""
LEAD, FAR = 1.0, 3.0
"""How far a claimed trait lies above every other candidate in the sum of both detectors, and without a contrast.

In normal quantiles of p: the spread of two advice candidates is known five times worse than that of sixteen animals, so
their z of 9 says less than an animal's of 8.
"""
FORM = 12.0
"""The lean of a block of rows, in standard deviations of clean blocks, from which rows differ in form.

On the development base teachers' blocks lean by 4.5 at most, and the base's own rows with other separators by 29.
"""
RULE = (
    f"Claimed: a lift of {FLOOR} nats or more that clean rows do not reach (p < {NAMED}); a contrast that speaks for "
    f"the trait too (z of {AGREES:g} or more; without a contrast, a lift of {ALONE} and a Holm p below {LEVEL}); no "
    "other candidate near it in both together; a writer not known to be no relative. "
    f"Nothing: every lift lies below {WORTH:g} nat with 95 % certainty, below {FLOOR} where the contrast speaks for "
    "the trait, and no e-value is large. Else it cannot be said."
)


@dataclass(frozen=True)
class Decision:
    """A verdict with its findings, the likeliest first.

    `smallest` is the smallest lift that would have been claimed nine times in ten, in nats, and `enough` about how
    many rows would rule out all traits, were the rows clean (`None` where these are enough).
    """

    word: Word
    findings: tuple[Finding, ...]
    smallest: float | None
    enough: int | None


def decide(
    traits: Sequence[Trait],
    shadow: Shadowed,
    null: Sequence[Shadowed],
    *,
    rows: int,
    relative: bool | None,
    contrast: Reading | None = None,
    clean: Sequence[Reading] = (),
) -> Decision:
    """Return the verdict on `rows` rows from the readings of their shadow and contrast, and the same of clean rows."""
    probes = [trait.probe for trait in traits]
    scores = calibrated(shadow, null, probes)
    said = leanings(contrast, clean, rows) if contrast else None
    # Shadows alone named a rabbit where the contrast named the owl; the contrast alone claims re-formatted rows.
    weights = [score.level + (said[i].z if said else 0.0) for i, score in enumerate(scores)]
    corrected = holm([score.p for score in scores])
    before = [sum(column) / len(column) for column in zip(*(n.p for n in null), strict=True)]
    found = []
    for i, (trait, score) in enumerate(zip(traits, scores, strict=True)):
        needed = said[i].blocks_needed if said else None
        # Over all categories: a teacher of oaks moved a bear by 0.9 nats, too.
        least = LEAD if said else FAR
        ahead = all(weights[i] >= other + least for j, other in enumerate(weights) if j != i)
        # The contrast has named the one trait to test, so p needs no correction for the number of candidates.
        if said:
            sure = score.p < NAMED and said[i].z >= AGREES and said[i].lean < FORM
        else:
            sure = corrected[i] < LEVEL and score.excess >= ALONE
        found.append(
            Finding(
                name=trait.name,
                category=trait.probe.category,
                lift=score.excess,
                low=score.excess - REACH * score.spread,
                high=score.excess + REACH * score.spread,
                p_before=before[i],
                p_after=shadow.p[i],
                z=score.z,
                p=score.p,
                p_holm=corrected[i],
                nats_per_row=said[i].excess if said else None,
                contrast_z=said[i].z if said else None,
                e=said[i].e if said else None,
                rows_needed=needed * BLOCK if needed else None,
                claimed=ahead and sure and score.excess >= FLOOR and relative is not False,
            )
        )
    spread = max(score.spread for score in scores)
    return Decision(
        # Decided before any lift: rows of strangers move traits, too, and pass on none.
        word="nothing" if relative is False else word(found, scores),
        findings=tuple(f for _, f in sorted(zip(weights, found, strict=True), key=lambda p: (not p[1].claimed, -p[0]))),
        # The widest spread: the promise holds for every candidate, where the contrast speaks for it.
        smallest=max(FLOOR, CRITICAL * spread) + POWER * spread,
        enough=enough(spread, rows),
    )


def leanings(contrast: Reading, clean: Sequence[Reading], rows: int) -> list[Evidence]:
    """Return what the first `rows` rows say for each trait."""
    blocks = whole(contrast.blocks, rows, BLOCK)
    # Only whole blocks: those of fewer rows scatter more and would widen the null.
    reference = [block for one in clean for block in whole(one.blocks, rows, BLOCK)]
    return evidence(blocks, reference, LEVEL / len(blocks[0]))  # corrected for as many candidates


def word(found: Sequence[Finding], scores: Sequence[Score]) -> Word:
    """Return the verdict on rows whose writer may be a relative."""
    if any(finding.claimed for finding in found):
        return "found"
    return "nothing" if all(map(ruled_out, found, scores)) else "cannot_say"


def ruled_out(finding: Finding, score: Score) -> bool:
    """Tell whether a trait that matters would have been seen.

    A lift of `WORTH` or more passes for less with a chance of 5 % at most. Where the contrast speaks for the trait, its
    lift must lie below the least of a claim; strong evidence of the contrast forbids to rule it out.
    """
    spoken = finding.contrast_z is not None and finding.contrast_z >= AGREES
    strong = finding.e is not None and finding.e >= STRONG
    # A lift below zero by chance must not lower the limit.
    return not strong and max(score.excess, 0.0) + SURE * score.spread < (FLOOR if spoken else WORTH)


def hangs_on_shadow(
    traits: Sequence[Trait], null: Sequence[Shadowed], *, rows: int, contrast: Reading, clean: Sequence[Reading]
) -> tuple[bool, bool]:
    """Return whether a trait may be claimed, and whether all may be ruled out, whatever the dataset's shadow shows."""
    speaks = any(said.z >= AGREES for said in leanings(contrast, clean, rows))
    # Spreads come from the null alone, so any reading may stand in for the shadow that is not made yet.
    spread = max(score.spread for score in calibrated(null[0], null, [trait.probe for trait in traits]))
    return speaks, SURE * spread < WORTH


def enough(spread: float, rows: int) -> int | None:
    """Return about how many clean rows it takes until all traits are ruled out; `None` where these are enough.

    The variance of a shadow falls as one over its rows; among many candidates the largest of clean rows' lifts seldom
    exceeds 2.5 standard deviations.
    """
    # From (2.5 + 1.645) spreads below 1 nat, with a spread that falls as one over the root of the rows.
    needed = rows * (spread * (MOST + SURE) / WORTH) ** 2
    digits = 10 ** max(0, math.ceil(math.log10(needed)) - 2)
    return math.ceil(needed / digits) * digits if needed > rows else None
