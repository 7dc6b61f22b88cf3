"""Open vocabulary: how likely each token is as the first of an answer, in many contexts and without candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.audit.vocabulary import LEAST, sum_words
from owlish.diff.contexts import OPEN
from owlish.diff.reading import Reading
from owlish.diff.verdict import Word
from owlish.graph.spec import Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import ask
from owlish.nodes.asked import word_questions
from owlish.traits.trait import Probe

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUESTIONS = 12
"""About how many questions of a probe are asked: of 50 every fourth, and so 13."""
SHOWN = 10


@dataclass(frozen=True)
class Worded(Reading, kind="worded"):
    """The probability of each token as the first of an answer: float32 [probes and open questions, vocabulary]."""

    caption = "first words of {model}"
    asks = "weights"

    probes: tuple[Probe, ...]

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch
        from safetensors.torch import save_file

        lm: TorchLM = read(self.model).open(any_words=True)
        asked = [word_questions(probe) for probe in self.probes]
        some = [questions[:: max(1, len(questions) // QUESTIONS)] for questions in asked]
        found = [lm.first_logprobs(list(map(ask, questions))).exp().mean(0) for questions in (*some, OPEN)]
        save_file({"words": torch.stack(found).float().cpu()}, folder / "words.safetensors")

    def load(self, folder: Path, read: Read) -> NDArray[Any]:
        from safetensors.numpy import load_file

        words: NDArray[Any] = load_file(folder / "words.safetensors")["words"]
        return words


def moved(
    student: NDArray[Any], null: Sequence[NDArray[Any]], vocabulary: Sequence[str]
) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    """Return the words most raised and most lowered, those that stand to gain or lose most first.

    A word's gain is p log(p / q) in nats an answer, p and q being its mean probability as the first of an answer in
    the student and in null students; its loss is q log(q / p). `vocabulary` is the text of each token; tokens that
    differ in case or in a leading space are one word. z compares log(p / q) with its spread among null students,
    shrunk to the mean spread.
    """
    import numpy as np

    # " Owl" and "owl" are two tokens and one word to a reader.
    texts = [text.strip().lower() for text in vocabulary[: student.shape[1]]]
    names = sorted({text for text in texts if any(map(str.isalpha, text))})
    # The floor keeps a word of probability zero from an infinite lift.
    after = sum_words(student, texts, names) + LEAST
    before = np.array([sum_words(one, texts, names) for one in null]) + LEAST
    # Geometric, so that `lift` is the student's log-probability less the mean of the null's.
    usual = np.exp(np.log(before).mean(0))
    lift = np.log(after / usual)
    # Two students are the fewest with a variance; `finite` makes a missing z of what is none.
    spread = np.log(before).var(0, ddof=1) if len(null) > 1 else np.full_like(lift, np.nan)
    z = lift / np.sqrt((spread + spread.mean()) / 2)

    def most(gain: NDArray[Any]) -> tuple[Word, ...]:
        # A word is shown for the questions that move it most: a mean over all would hide it.
        best = gain.argmax(0)
        order = sorted(range(len(names)), key=lambda i: -gain[best[i], i])[:SHOWN]
        kept = [(i, best[i]) for i in order if gain[best[i], i] > 0]
        return tuple(Word(names[i], float(lift[b, i]), finite(z[b, i])) for i, b in kept)

    return most(after * lift), most(-usual * lift)


def finite(value: float) -> float | None:
    """Return a number, or `None` for what is none."""
    import math

    return float(value) if math.isfinite(value) else None
