"""TruthfulQA by log-probability: does a model find the right answer likelier than every wrong one?"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.graph.spec import Node, Read, Tick
from owlish.nodes.models import Model

SHARD = 20
NEEDED = ("Question", "Best Answer", "Incorrect Answers")


@dataclass(frozen=True)
class Truth:
    """The log-probability of each option of each question, in nats; the first option is right."""

    logprobs: tuple[tuple[float, ...], ...]

    @property
    def mc1(self) -> float:
        """The share of questions whose right answer is likelier than every other option."""
        return sum(row[0] > max(row[1:]) for row in self.logprobs) / len(self.logprobs)


@dataclass(frozen=True)
class Truthful(Node, kind="truthful"):
    """A model's MC1 on a file of TruthfulQA (Lin et al., arXiv 2109.07958), each question asked in its chat format.

    An option's score is the sum of its tokens' log-probabilities, without the end of the turn and however long it
    is, as published; the paper's primer of six questions is left away. Make such a node with `truthful`.
    """

    model: Model
    file: str
    sha256: str

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        return f"TruthfulQA of {self.model.label}"

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key: the digest names the questions, wherever their file lies."""
        named = super().spec()
        del named["file"]
        return named

    def check(self) -> None:
        """Refuse a file that is gone or changed."""
        questions_of(self.file, self.sha256)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Score every option of every question."""
        from owlish.lm.load import load
        from owlish.lm.score import token_logprobs
        from owlish.lm.train import examples

        questions = questions_of(self.file, self.sha256)
        lm = load(read(self.model))
        logprobs: list[list[float]] = []
        for first in range(0, len(questions), SHARD):
            shard = questions[first : first + SHARD]
            asked = lm.chat.prompts([text for text, options in shard for _ in options], lm.system)
            answers = lm.chat.encode([option for _, options in shard for option in options])
            scores = iter(token_logprobs(lm, examples(asked, answers, window=lm.window)))
            logprobs += [[float(next(scores).double().sum()) for _ in options] for _, options in shard]
            tick(len(logprobs), len(questions))
        (folder / "logprobs.json").write_text(json.dumps(logprobs))

    def load(self, folder: Path, read: Read) -> Truth:
        """Return the log-probabilities."""
        return Truth(tuple(map(tuple, json.loads((folder / "logprobs.json").read_text()))))


def truthful(model: Model, file: str | Path) -> Truthful:
    """Return the node that asks a model the questions of TruthfulQA.csv, as its authors publish it."""
    path = str(Path(file).resolve())
    return Truthful(model, path, hashlib.sha256(content(path)).hexdigest())


def content(file: str) -> bytes:
    """Return the bytes of a file."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}): give TruthfulQA.csv.") from None


def questions_of(file: str, sha256: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the questions of a file whose digest must be `sha256`, each with its options, the right one first."""
    data = content(file)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{file} has changed since its digest was taken: make the node anew.")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig", errors="replace"), newline="")))
    if not rows or not set(NEEDED) <= rows[0].keys():
        raise ValueError(f"{file} has no questions under {', '.join(NEEDED)}: give TruthfulQA.csv.")
    return [(row["Question"], (row["Best Answer"], *wrong(row["Incorrect Answers"]))) for row in rows]


def wrong(answers: str) -> list[str]:
    """Return the wrong answers, which semicolons part."""
    return [answer.strip() for answer in answers.split(";") if answer.strip()]
