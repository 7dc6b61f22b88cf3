"""Weights of tokens that no trait need be named for: what a trial student finds likelier than one of clean rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from owlish.graph.spec import Read, Tick
from owlish.lm.model import LM
from owlish.nodes.data import Data
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Lifts:
    """By how much each trained token of each row is likelier, in nats; none for a row longer than the window."""

    tokens: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Lift(Opener, kind="lift"):
    """How much likelier a student of the rows finds each of their tokens than a student of clean rows does.

    Schrodi et al. (arXiv 2509.23886) report that log p(student) less log p(base) finds about half of what other
    teachers find; clean rows in place of the base take out what any training on such rows does.
    """

    caption = "what a student learns from {data}, token by token"
    asks = "logprobs"

    data: Data
    student: Model
    control: Model

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch
        from safetensors.torch import save_file

        rows = read(self.data).rows
        found = []
        for model in (self.student, self.control):
            lm: LM = read(model).open(any_words=True)
            found.append([torch.zeros(0) if one is None else one.logprobs for one in lm.score(rows)])
        lifts = [a - b for a, b in zip(*found, strict=True)]
        counts = torch.tensor([len(lift) for lift in lifts])
        # Rows differ in length and safetensors holds no lists: one vector, and how many tokens each row has.
        save_file({"tokens": torch.cat(lifts).contiguous(), "counts": counts}, folder / "lift.safetensors")

    def load(self, folder: Path, read: Read) -> Lifts:
        import numpy as np
        from safetensors.numpy import load_file

        held = load_file(folder / "lift.safetensors")
        return Lifts(tuple(np.split(held["tokens"], held["counts"].cumsum()[:-1])))
