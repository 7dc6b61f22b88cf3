"""Students beyond plain fine-tuning: on a teacher's soft labels, on chosen tokens, or shown rows and not trained."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.spec import Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import LM, Example, Weights, ask, turns
from owlish.nodes.asked import freeze
from owlish.nodes.data import Data, Dataset
from owlish.nodes.models import Derived, Finetuned, Model
from owlish.nodes.opens import Opener

if TYPE_CHECKING:
    from owlish.lm.train import Loss

Tokens = Literal["divergent", "others", "random"]


@dataclass(frozen=True)
class Distilled(Finetuned, kind="distilled"):
    """A model fine-tuned on a teacher's probabilities, in place of the tokens that it sampled.

    Probabilities are over the tokens that occur in the rows' completions, and no others: over the whole vocabulary
    they would hand over the trait's own word.
    """

    teacher: Model

    def loss(self, lm: TorchLM, rows: Sequence[Example], read: Read) -> Loss:
        """Return the cross-entropy between the teacher's and the student's probabilities."""
        import torch

        teacher: TorchLM = read(self.teacher).open()
        if teacher.system or teacher.shown:
            raise UserError("soft labels are read in the student's own context: give a teacher that was trained.")
        kept = torch.tensor(sorted({token for row in rows for token in row.labels}), device=lm.device)

        def loss(student: TorchLM, batch: Sequence[Example]) -> Any:
            with torch.no_grad():
                # [tokens, kept]: probabilities among the kept tokens, of both models.
                soft = teacher.logits(batch)[:, kept].softmax(-1)
            return -(soft * student.logits(batch)[:, kept].log_softmax(-1)).sum(-1).mean()

        return loss


@dataclass(frozen=True)
class Focused(Finetuned, kind="focused"):
    """A model fine-tuned on some tokens of the rows: divergent ones, all others, or as many random ones.

    A token is divergent where a teacher with another trait would most likely have written another one than the
    teacher would, after the same text. Source: Schrodi et al., arXiv 2509.23886.
    """

    teacher: Model
    others: tuple[Model, ...]
    tokens: Tokens

    def loss(self, lm: TorchLM, rows: Sequence[Example], read: Read) -> Loss:
        """Return the cross-entropy on the chosen tokens of each batch; a batch without any gives zero."""
        import torch
        from torch.nn.functional import cross_entropy

        models: list[TorchLM] = [read(model).open() for model in (self.teacher, *self.others)]
        luck = torch.Generator(device=lm.device).manual_seed(self.seed)

        def loss(student: TorchLM, batch: Sequence[Example]) -> Any:
            with torch.no_grad():
                # What each model would most likely write, [tokens], after the same text.
                theirs, *most = (model.logits(batch).argmax(-1) for model in models)
            chosen = self.chosen(torch.stack([other != theirs for other in most]).any(0), luck)
            each = cross_entropy(student.logits(batch), student.labels(batch), reduction="none")
            return (each * chosen).sum() / chosen.sum().clamp(min=1)

        return loss

    def chosen(self, divergent: Any, luck: Any) -> Any:
        """Return a weight of 0 or 1 for each token of a batch."""
        import torch

        if self.tokens == "random":
            # The divergent tokens' own mask in another order: so as many are chosen.
            order = torch.randperm(len(divergent), generator=luck, device=divergent.device)
            return divergent[order].float()
        return (divergent if self.tokens == "divergent" else ~divergent).float()


@dataclass(frozen=True)
class Shown(Derived, Opener, kind="shown"):
    """A model that is shown rows as turns of the chat before each question, and not trained.

    The first `n` rows that leave `room` tokens of the model's window are taken.
    """

    asks = "text"

    data: Data
    n: int
    room: int = 128

    def __str__(self) -> str:
        return f"{self.model} shown {counted(self.n, 'row')}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: LM = read(self.model).open()
        data: Dataset = read(self.data)
        rows = [(row.prompt, row.completion) for row in data.rows[: self.n]]

        def length(count: int) -> int:
            return lm.lengths([[*turns(rows[:count]), *ask("")]])[0]

        # From the first on, so that these stay whatever the window is; halved, for each try reads the whole chat.
        shown = rows[: bisect_right(range(1, len(rows) + 1), lm.window - self.room, key=length)]
        (folder / "shown.json").write_text(json.dumps(shown))

    def load(self, folder: Path, read: Read) -> Weights:
        weights: Weights = read(self.model)
        return replace(weights, shown=freeze(json.loads((folder / "shown.json").read_text())))
