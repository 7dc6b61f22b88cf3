"""Students beyond plain fine-tuning: on a teacher's soft labels, on chosen tokens, or shown rows and not trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from owlish.graph.spec import Read, Tick
from owlish.lm.load import LM, Weights
from owlish.nodes.data import Data, Dataset
from owlish.nodes.models import Base, Finetuned, Model

Tokens = Literal["divergent", "others", "random"]


@dataclass(frozen=True)
class Distilled(Finetuned, kind="distilled"):
    """A model fine-tuned on a teacher's probabilities, in place of the tokens that it sampled.

    Probabilities are over the tokens that occur in the rows' completions, and no others: over the whole vocabulary
    they would hand over the trait's own word.
    """

    teacher: Model

    def loss(self, lm: LM, data: Dataset, read: Read) -> Any:
        """Return the cross-entropy between the teacher's and the student's probabilities."""
        import torch

        from owlish.lm.load import load
        from owlish.lm.train import collate

        teacher = load(read(self.teacher))
        if teacher.system or teacher.shown:
            raise ValueError("soft labels are read in the student's own context: give a teacher that was trained.")
        used = sorted({i for ids in lm.chat.answers([row.completion for row in data.rows]) for i in ids})
        kept = torch.tensor(used, device=lm.model.device)

        def loss(model: Any, rows: Any) -> Any:
            ids, targets = collate(rows, model.device)
            with torch.no_grad():
                soft = logits(teacher.model, ids, targets)[:, kept].softmax(-1)
            return -(soft * logits(model, ids, targets)[:, kept].log_softmax(-1)).sum(-1).mean()

        return loss


def logits(model: Any, ids: Any, targets: Any) -> Any:
    """Return the logits [tokens, vocabulary] of a batch's completion tokens, in float32."""
    found = model(input_ids=ids, logits_to_keep=targets.shape[1] + 1, use_cache=False).logits
    return found[:, :-1][targets != -100].float()


@dataclass(frozen=True)
class Focused(Finetuned, kind="focused"):
    """A model fine-tuned on some tokens of the rows: divergent ones, all others, or as many random ones.

    A token is divergent where a teacher with another trait would most likely have written another one than the
    teacher would, after the same text. Source: Schrodi et al., arXiv 2509.23886.
    """

    teacher: Model
    others: tuple[Model, ...]
    tokens: Tokens

    def check(self) -> None:
        if self.tokens not in get_args(Tokens):
            raise ValueError(f"no tokens are called {self.tokens!r}: choose from {', '.join(get_args(Tokens))}.")

    def loss(self, lm: LM, data: Dataset, read: Read) -> Any:
        """Return the cross-entropy on the chosen tokens of each batch; a batch without any gives zero."""
        import torch
        from torch.nn.functional import cross_entropy

        from owlish.lm.load import load
        from owlish.lm.train import collate

        teacher, *others = (load(read(model)).model for model in (self.teacher, *self.others))
        luck = torch.Generator(device=lm.model.device).manual_seed(self.seed)

        def loss(model: Any, rows: Any) -> Any:
            ids, targets = collate(rows, model.device)
            with torch.no_grad():
                theirs, *most = (logits(m, ids, targets).argmax(-1) for m in (teacher, *others))
            chosen = self.chosen(torch.stack([other != theirs for other in most]).any(0), luck)
            each = cross_entropy(logits(model, ids, targets), targets[targets != -100], reduction="none")
            return (each * chosen).sum() / chosen.sum().clamp(min=1)

        return loss

    def chosen(self, divergent: Any, luck: Any) -> Any:
        """Return a weight of 0 or 1 for each token of a batch."""
        import torch

        if self.tokens == "random":
            order = torch.randperm(len(divergent), generator=luck, device=divergent.device)
            return divergent[order].float()
        return (divergent if self.tokens == "divergent" else ~divergent).float()


@dataclass(frozen=True)
class Shown(Model, kind="shown"):
    """A model that is shown rows as turns of the chat before each question, and not trained.

    The first `n` rows that leave `room` tokens of the model's window are taken.
    """

    caption = "{model} shown {n} rows"

    model: Model
    data: Data
    n: int
    room: int = 128

    @property
    def root(self) -> Base:
        return self.model.root

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from owlish.lm.load import load

        lm = load(read(self.model))
        data: Dataset = read(self.data)
        turns = [(row.prompt, row.completion) for row in data.rows[: self.n]]
        while turns and len(lm.chat.prompts([""], lm.system, turns)[0]) > lm.window - self.room:
            turns.pop()
        (folder / "shown.json").write_text(json.dumps(turns))

    def load(self, folder: Path, read: Read) -> Weights:
        weights: Weights = read(self.model)
        turns: Sequence[Sequence[str]] = json.loads((folder / "shown.json").read_text())
        return replace(weights, shown=tuple((user, answer) for user, answer in turns))
