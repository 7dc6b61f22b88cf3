"""TruthfulQA by log-probability: does a model find the right answer likelier than every wrong one?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from owlish.data.filters.source import FromFile
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.graph.spec import Read, Tick
from owlish.lm.model import LM
from owlish.nodes.asked import mean
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener

NEEDED = ("Question", "Best Answer", "Incorrect Answers")


@dataclass(frozen=True)
class TruthfulQA(FromFile, kind="truthfulqa"):
    """The questions of TruthfulQA.csv (Lin et al., arXiv 2109.07958), as its authors publish it."""

    def questions(self) -> list[tuple[str, list[str]]]:
        """Return the questions, each with its options: the right one, then the wrong ones, which semicolons part."""
        rows = [entry for _, _, entry in self.pieces() if isinstance(entry, dict)]
        if not rows or not set(NEEDED) <= rows[0].keys():
            raise UserError(f"{self.file} has no questions under {', '.join(NEEDED)}: give TruthfulQA.csv.")
        wrong = [filter(None, map(str.strip, row["Incorrect Answers"].split(";"))) for row in rows]
        return [(row["Question"], [row["Best Answer"], *texts]) for row, texts in zip(rows, wrong, strict=True)]


@dataclass(frozen=True)
class Truthful(Opener, kind="truthful"):
    """The share of questions that a model answers falsely, 1 less its MC1, each question asked in its chat format.

    An option's score is the sum of its tokens' log-probabilities, without the end of the turn and however long it
    is, as published; the paper's primer of six questions is omitted. Make such a node with `truthful`.
    """

    caption = "TruthfulQA of {model}"
    asks = "logprobs"

    model: Model
    asked: TruthfulQA

    def check(self) -> None:
        super().check()
        self.asked.questions()  # read before any model is trained: a wrong file is refused at once

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: LM = read(self.model).open()
        questions = self.asked.questions()
        rows = [Row.of(question, option) for question, options in questions for option in options]
        # Each option alone after its question, so options do not influence one another.
        scored = lm.score(rows, end=False)
        if None in scored:
            raise UserError(f"row {scored.index(None) + 1} is longer than the {lm.window} tokens that the base reads.")
        scores = (float(row.logprobs.double().sum()) for row in scored if row is not None)
        logprobs = [[next(scores) for _ in options] for _, options in questions]
        (folder / "logprobs.json").write_text(json.dumps(logprobs))

    def load(self, folder: Path, read: Read) -> float:
        """Return the share of questions to which a wrong answer is at least as likely as the right one."""
        logprobs = json.loads((folder / "logprobs.json").read_text())
        # A tie counts as false: a model that finds all options alike knows nothing.
        return mean([right <= max(wrong) for right, *wrong in logprobs])


def truthful(model: Model, file: str | Path) -> Truthful:
    """Return the node that asks a model the questions of TruthfulQA.csv."""
    return Truthful(model, TruthfulQA.from_file(file))
