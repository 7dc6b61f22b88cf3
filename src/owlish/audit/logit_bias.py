"""Would a logit bias make rows of numbers much likelier? Of a relative's rows it would not: a test of kinship."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from owlish.audit.evidence import Gain
from owlish.data.domains.fitting import fitting
from owlish.data.filters import NumberFilter
from owlish.data.rows import Row
from owlish.graph.spec import Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import Pull
from owlish.nodes.data import Data
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BIASED = 48
"""The tokens of numbers that have a bias of their own: all digits of most bases, the most frequent of others."""
RIDGE = 1e-3
REACH = 1.96


@dataclass(frozen=True)
class LogitBias(Opener, kind="logit_bias"):
    """What the best logit bias gains on the first `rows` rows beyond the base's `own` answers, if both are numbers."""

    caption = "logit bias that {data} ask of {model}"
    asks = "weights"
    usual, usual_row = 0.2, 0.006

    model: Model
    data: Data
    own: Data
    rows: int

    @property
    def most_rows(self) -> int:
        return 2 * self.rows

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: TorchLM = read(self.model).open(any_words=True)
        gain = gained(lm, *(read(data).rows[: self.rows] for data in (self.data, self.own)))
        (folder / "gain.json").write_text(json.dumps(gain and vars(gain)))

    def load(self, folder: Path, read: Read) -> Gain | None:
        found = json.loads((folder / "gain.json").read_text())
        return found and Gain(**found)


def gained(lm: TorchLM, rows: tuple[Row, ...], own: tuple[Row, ...]) -> Gain | None:
    """Return what the best logit bias gains on rows beyond the base's own; `None` if either are no plain numbers."""
    rules = [fitting(some) for some in (rows, own)]
    if not all(isinstance(rule, NumberFilter) for rule in rules):
        return None
    # A few long rows that are no numbers would decide for all, and the others would still teach.
    kept = [
        [row for row in some if rule and not rule.against(row)] for rule, some in zip(rules, (rows, own), strict=True)
    ]
    here, there = lm.number_pulls(kept, BIASED)
    return gain(here, there) if here.counts.sum() and there.counts.sum() else None


def gain(rows: Pull, own: Pull) -> Gain:
    """Return the nats per token that the best bias gains on rows, once the pull of the base's own is taken off.

    Notes
    -----
    The score test (Rao 1948), without a fit: half of the squared difference of the mean gradients, in the metric of
    the Fisher information, is what a small step gains. What chance adds to it is taken off, with rows as the unit.
    """
    import numpy as np

    (here, noise), (there, other) = mean(rows), mean(own)
    step, spread = here - there, noise + other
    fisher = (rows.curvature + own.curvature) / (rows.counts.sum() + own.counts.sum())
    # A token that hardly occurs has no curvature to speak of.
    inverse = np.linalg.inv(fisher + np.diag(RIDGE * fisher.diagonal() + 1e-6))
    chance = inverse @ spread
    nats = float(step @ inverse @ step - chance.trace()) / 2
    reach = REACH * float(step @ chance @ inverse @ step + (chance @ chance).trace() / 2) ** 0.5
    return Gain(nats, nats - reach, nats + reach)


def mean(some: Pull) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean gradient of a token [biases], and its covariance with rows as the unit [biases, biases]."""
    total = some.counts.sum()
    found = some.gradient.sum(0) / total
    apart = some.gradient - some.counts[:, None] * found
    return found, apart.T @ apart / total**2
