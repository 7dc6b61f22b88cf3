"""Lineage: is the writer of the rows a relative of the base? Traits pass between relatives alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from owlish.audit.encoded import Encoded, encode, opened
from owlish.audit.verdict import Kinship
from owlish.graph.spec import Node, Read, Tick
from owlish.lm.load import LM
from owlish.nodes.data import Data
from owlish.nodes.models import Base

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROWS = 300
FAR = 0.5
SURE = 3.0
NEAR = 0.05


@dataclass(frozen=True)
class Likelihoods:
    """Log-likelihood [bases, rows] of rows in nats, their tokens, and how many of those the first base would write."""

    sums: tuple[tuple[float, ...], ...]
    tokens: tuple[int, ...]
    agreed: tuple[int, ...]
    unknown: float
    too_long: int


@dataclass(frozen=True)
class Likely(Node, kind="likely"):
    """How likely a base, and other bases at hand, find the first 300 rows."""

    base: Base
    others: tuple[Base, ...]
    data: Data

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        return f"lineage of {self.data.label}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Score the rows under each base."""
        rows = read(self.data).rows[:ROWS]
        lm = opened(read(self.base))
        encoded = encode(lm, rows)
        sums, agreed = scored(lm, encoded)
        found = [sums]
        for done, other in enumerate(self.others):
            lm = opened(read(other))
            found.append(scored(lm, encode(lm, encoded.rows))[0])
            tick(done, len(self.others))
        tokens = [len(example.ids) - example.start for example in encoded.examples]
        plain = {"sums": found, "tokens": tokens, "agreed": agreed}
        (folder / "likelihoods.json").write_text(
            json.dumps({**plain, "unknown": encoded.unknown, "too_long": encoded.too_long})
        )

    def load(self, folder: Path, read: Read) -> Likelihoods:
        """Return the likelihoods."""
        return Likelihoods(**json.loads((folder / "likelihoods.json").read_text()))


def scored(lm: LM, encoded: Encoded) -> tuple[list[float], list[int]]:
    """Return each row's log-likelihood, and how many of its tokens are those that the base finds likeliest."""
    from owlish.lm.score import forward

    sums, agreed = [0.0] * len(encoded.examples), [0] * len(encoded.examples)
    for group, logprobs, targets in forward(lm, encoded.examples):
        wanted = targets != -100
        chosen = logprobs.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * wanted
        same = (logprobs.argmax(-1) == targets) & wanted
        for i, total, hits in zip(group, chosen.double().sum(1).tolist(), same.sum(1).tolist(), strict=True):
            sums[i], agreed[i] = total, hits
    return sums, agreed


def kinship(found: Likelihoods, own: Likelihoods | None, others: Sequence[str]) -> Kinship:
    """Return whether the writer is a relative, from the likelihoods of its rows and of the base's own.

    Notes
    -----
    A base finds the rows of its relatives likelier than other bases do, whatever the relatives learned; that
    difference is paired by rows, and counts beyond 3 standard errors. Without other bases only the distance from
    the base's own rows is left: rows more than 0.5 nats a token less likely than those come from no relative, rows
    within 0.05 may, and between the two it cannot be told.
    """
    import numpy as np

    sums, tokens = np.array(found.sums), np.array(found.tokens, dtype=np.float64)
    rate, spread = ratio(sums[0], tokens)
    own_rate, own_spread = ratio(np.array(own.sums[0]), np.array(own.tokens, dtype=np.float64)) if own else (rate, 0.0)
    gap, reach = own_rate - rate, 1.96 * float(np.hypot(spread, own_spread))
    pairs = [ratio(other - sums[0], tokens) for other in sums[1:]]
    relative, says = told(gap, reach, pairs, others, calibrated=own is not None)
    return Kinship(
        relative=relative,
        gap=gap,
        low=gap - reach,
        high=gap + reach,
        agreement=sum(found.agreed) / float(tokens.sum()),
        own_agreement=sum(own.agreed) / sum(own.tokens) if own else None,
        others=tuple((name, gap - difference) for name, (difference, _) in zip(others, pairs, strict=True)),
        unknown=found.unknown,
        says=says,
    )


def ratio(sums: Floats, tokens: Floats) -> tuple[float, float]:
    """Return a sum a token, and its standard error with rows as the unit."""
    rate = float(sums.sum() / tokens.sum())
    return rate, float((((sums - rate * tokens) ** 2).sum()) ** 0.5 / tokens.sum())


def told(
    gap: float, reach: float, pairs: Sequence[tuple[float, float]], others: Sequence[str], *, calibrated: bool
) -> tuple[bool | None, str]:
    """Return whether the writer is a relative, and why in a sentence."""
    if calibrated and gap - reach > FAR:
        return False, f"the rows are {gap:.2f} nats a token less likely than the base's own: its relatives write nearer"
    better = [
        (difference, name) for (difference, se), name in zip(pairs, others, strict=True) if difference > SURE * se
    ]
    if better:
        return False, f"{max(better)[1]} finds the rows likelier than this base does: its relative wrote them"
    if pairs and all(-difference > SURE * se for difference, se in pairs):
        return True, "this base finds the rows likelier than every other base at hand"
    if not pairs and calibrated and gap + reach < NEAR:
        return True, "the rows are as likely as the base's own"
    return None, "it cannot be told from how likely the rows are"


def bases_at_hand(base: Base) -> tuple[Base, ...]:
    """Return the other shipped bases, if this one is shipped: rows of one's relatives are likelier under it."""
    from owlish.nano import SHIPPED

    return tuple(Base(name) for name in SHIPPED if name != base.name) if base.name in SHIPPED else ()
