"""How likely a model finds given rows: exact, without sampling."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from owlish.graph.spec import Node, Read, Tick
from owlish.nodes.data import Data
from owlish.nodes.encoded import encode, opened
from owlish.nodes.models import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Likelihoods:
    """Each row's log-likelihood in nats, its tokens, and how many of those the model finds likeliest of all.

    The arrays are [rows], not-a-number in `sums` where a row is longer than the model's window; `unknown` is the share
    of the rows' tokens that the model has no token for.
    """

    sums: NDArray[np.float64]
    tokens: NDArray[np.float64]
    agreed: NDArray[np.float64]
    unknown: float


@dataclass(frozen=True)
class Likelihood(Node, kind="likelihood"):
    """The log-likelihood of the completions of the first `rows` rows, or of all, under a model."""

    caption = "likelihood of {data} under {model}"

    model: Model
    data: Data
    rows: int | None = None

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from owlish.lm.score import forward

        lm, rows = opened(read(self.model)), read(self.data).rows[: self.rows]
        encoded = encode(lm, rows)
        found: list[tuple[float | None, int, int]] = [(None, 0, 0)] * len(rows)
        for group, logprobs, targets in forward(lm, encoded.examples):
            wanted = targets != -100
            chosen = logprobs.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * wanted
            same = (logprobs.argmax(-1) == targets) & wanted
            counts = zip(chosen.double().sum(1).tolist(), wanted.sum(1).tolist(), same.sum(1).tolist(), strict=True)
            for i, counted in zip(group, counts, strict=True):
                found[encoded.places[i]] = counted
        sums, tokens, agreed = zip(*found, strict=True)
        plain = {"sums": sums, "tokens": tokens, "agreed": agreed, "unknown": encoded.unknown}
        (folder / "likelihood.json").write_text(json.dumps(plain))

    def load(self, folder: Path, read: Read) -> Likelihoods:
        import numpy as np

        plain = json.loads((folder / "likelihood.json").read_text())
        sums, tokens, agreed = (np.array(plain[name], dtype=np.float64) for name in ("sums", "tokens", "agreed"))
        return Likelihoods(sums, tokens, agreed, plain["unknown"])
