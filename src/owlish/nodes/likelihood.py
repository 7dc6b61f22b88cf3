"""How likely a model finds given rows: exact, without sampling."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from owlish.graph.spec import Read, Tick
from owlish.graph.tabled import Record, Tabled
from owlish.lm.model import LM, Scored
from owlish.nodes.data import Data
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Likelihoods(Tabled):
    """Each row's log-likelihood in nats, its tokens, and how many of those the model finds likeliest of all.

    The arrays are [rows], not-a-number in `sums` where a row is longer than the model's window; `unknown` is the share
    of the rows' tokens that the model has no token for.
    """

    sums: NDArray[np.float64]
    tokens: NDArray[np.float64]
    agreed: NDArray[np.float64]
    unknown: float

    def records(self) -> list[Record]:
        columns = {"nats": self.sums, "tokens": self.tokens, "agreed": self.agreed}
        return [
            dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)
        ]


@dataclass(frozen=True)
class Likelihood(Opener, kind="likelihood"):
    """The log-likelihood of the completions of the first `rows` rows, or of all, under a model."""

    caption = "likelihood of {data} under {model}"
    asks = "logprobs"
    usual, usual_row = 0.1, 0.0024

    model: Model
    data: Data
    rows: int | None = None

    @property
    def most_rows(self) -> int:
        return self.rows or 0

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        # Rows of another writer may be full of words that the model does not know: that is what `unknown` counts.
        lm: LM = read(self.model).open(any_words=True)
        scored = lm.score(read(self.data).rows[: self.rows])
        fitting = [row for row in scored if row is not None]
        found = [(None, 0, 0) if row is None else sum_row(row) for row in scored]
        sums, tokens, agreed = zip(*found, strict=True)
        unknown = sum(row.unknown for row in fitting) / max(sum(row.read for row in fitting), 1)
        plain = {"sums": sums, "tokens": tokens, "agreed": agreed, "unknown": unknown}
        (folder / "likelihood.json").write_text(json.dumps(plain))

    def load(self, folder: Path, read: Read) -> Likelihoods:
        import numpy as np

        plain = json.loads((folder / "likelihood.json").read_text())
        # A row that was too long stands as null in JSON, of which numpy makes NaN.
        sums, tokens, agreed = (np.array(plain[name], dtype=np.float64) for name in ("sums", "tokens", "agreed"))
        return Likelihoods(sums, tokens, agreed, plain["unknown"])


def sum_row(row: Scored) -> tuple[float, int, int]:
    """Return a row's log-likelihood, its tokens, and how many of them the model finds likeliest of all."""
    # Added in float64, so that long rows lose no digits.
    return row.logprobs.double().sum().item(), len(row.logprobs), int(row.likeliest.sum())
