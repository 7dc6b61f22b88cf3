"""The limit: the likelihood ratio of the true writer and the base, which an auditor does not have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owlish.audit.detector import Detector, write_reading
from owlish.graph.spec import Node, Read, Tick
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.models import Model


@dataclass(frozen=True)
class Oracle(Detector, kind="oracle", version=2):
    """Each row's log-likelihood under its writer less that under the base, in nats: no other test of a row beats it."""

    caption = "likelihood ratio on {data}"

    writer: Model
    rows: int

    def inputs(self) -> tuple[Node, ...]:
        return tuple(Likelihood(model, self.data, self.rows) for model in (self.writer, self.base))

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        theirs, ours = (read(one).sums for one in self.inputs())
        # A row beyond the window is not-a-number, which alone differs from itself.
        write_reading(folder, [[ratio] for ratio in (theirs - ours).tolist() if ratio == ratio])
