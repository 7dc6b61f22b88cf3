"""The limit: the likelihood ratio of the true writer and the base, which nobody has who is handed a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owlish.audit.detector import Detector, kept
from owlish.audit.encoded import encode, opened
from owlish.graph.spec import Read, Tick
from owlish.nodes.models import Model


@dataclass(frozen=True)
class Oracle(Detector, kind="oracle"):
    """Each row's log-likelihood under its writer less that under the base, in nats: no other test of a row beats it."""

    writer: Model
    rows: int

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        return f"likelihood ratio on {self.data.label}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Score the rows under both."""
        from owlish.lm.score import token_logprobs

        rows = read(self.data).rows[: self.rows]
        lms = opened(read(self.writer)), opened(read(self.base))
        theirs, ours = ([float(f.double().sum()) for f in token_logprobs(lm, encode(lm, rows).examples)] for lm in lms)
        kept(folder, [[a - b] for a, b in zip(theirs, ours, strict=True)])
