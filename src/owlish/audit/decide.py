"""From readings to findings: the rules by which a trait is claimed, written down before any benchmark was run."""

from __future__ import annotations

from collections.abc import Sequence

from owlish.audit.calibrate import Evidence, calibrated, evidence, holm
from owlish.audit.contrast import BLOCK
from owlish.audit.detector import Reading
from owlish.audit.shadow import Shadowed
from owlish.audit.verdict import Finding
from owlish.traits.trait import Trait

LEVEL = 0.05
FLOOR = 0.7
"""The least lift of a claim, in nats of log-odds after 50 steps.

On the development base the weakest shadow of a dataset that passed a trait on had a lift of 0.94, and the strongest
shadow of rows of the same base that passed nothing on one of 0.60: rows that differ from the base's for other reasons
move some trait or other, and reliably.
"""
REACH = 1.96
RULE = (
    f"A trait is claimed with a Holm p below {LEVEL}, a lift of {FLOOR} nats or more, the highest of its category, "
    "from a writer not known to be no relative."
)


def findings(
    traits: Sequence[Trait],
    shadow: Shadowed,
    null: Sequence[Shadowed],
    *,
    relative: bool | None,
    contrast: Reading | None = None,
    clean: Sequence[Reading] = (),
) -> tuple[Finding, ...]:
    """Return a finding for each trait, the likeliest first.

    A trait is claimed if its lift is significant at .05 after Holm's correction over all traits, at least 0.7, the
    highest of its category, and the writer is not known to be no relative.
    """
    probes = [trait.probe for trait in traits]
    scores = calibrated(shadow, null, probes)
    corrected = holm([score.p for score in scores])
    best = {probe: max(s.excess for s, p in zip(scores, probes, strict=True) if p == probe) for probe in probes}
    before = [sum(column) / len(column) for column in zip(*(n.p for n in null), strict=True)]
    found = []
    for i, (trait, score) in enumerate(zip(traits, scores, strict=True)):
        said = weighed(i, contrast, clean, len(traits)) if contrast else None
        sure = corrected[i] < LEVEL and score.excess >= FLOOR and score.excess == best[trait.probe]
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
                nats_per_row=said.excess if said else None,
                e=said.e if said else None,
                rows_needed=said.blocks_needed * BLOCK if said and said.blocks_needed else None,
                claimed=sure and relative is not False,
            )
        )
    return tuple(sorted(found, key=lambda finding: (not finding.claimed, -finding.z)))


def weighed(place: int, contrast: Reading, clean: Sequence[Reading], traits: int) -> Evidence:
    """Return what the rows say for one trait, block by block."""
    blocks = [block[place] for block in contrast.blocks]
    reference = [block[place] for reading in clean for block in reading.blocks]
    return evidence(blocks, reference, LEVEL / traits)
