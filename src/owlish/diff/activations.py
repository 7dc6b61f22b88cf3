"""Activations at neutral prompts, read through the unembedding: what questions need not show."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.data.domains import Numbers
from owlish.diff.contexts import OPEN
from owlish.diff.reading import Reading
from owlish.diff.verdict import Layer, Word
from owlish.graph.spec import Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import ask

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 5
NUMBERS = 12
FEWEST = 3
SHARED = 2
"""Axes that null students share and that are projected out: what any training by this recipe moves."""


@dataclass(frozen=True)
class Activated(Reading, kind="activated", version=2):
    """Mean log-probabilities that layers at several depths give each token: float32 [places, vocabulary].

    The prompts name no candidate: open questions, and prompts of the numbers domain. Each state is read through the
    model's own last norm and unembedding, so that no change of basis that keeps the behaviour changes the reading.
    """

    caption = "activations of {model}"
    asks = "weights"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from safetensors.torch import save_file

        lm: TorchLM = read(self.model).open(any_words=True)
        # The same prompts for every model: only then do their readings compare.
        numbers = [Numbers().prompt(random.Random(f"neutral/{i}")) for i in range(NUMBERS)]
        save_file({"layers": lm.layer_logprobs(list(map(ask, (*OPEN, *numbers))))}, folder / "layers.safetensors")

    def load(self, folder: Path, read: Read) -> NDArray[Any]:
        from safetensors.numpy import load_file

        layers: NDArray[Any] = load_file(folder / "layers.safetensors")["layers"]
        return layers


def residual(student: NDArray[Any], base: NDArray[Any], null: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return what a student's layers say beyond the base, without the axes that null students share: [places, words].

    At each place the differences of null students from the base span a space; its strongest axes, uncentred, are
    taken out of the student's own difference. Source: the shared-axis projection of activation-difference lenses.
    """
    import numpy as np

    change = student - base
    # Log-probabilities of one place share a constant that says nothing about single words.
    left: NDArray[Any] = change - change.mean(1, keepdims=True)
    for place in range(len(left) if null else 0):
        own = np.array([one[place] - base[place] for one in null])
        own -= own.mean(1, keepdims=True)
        # [at most 2, words]; uncentred, since the mean of the null students' drift is what must go first.
        axes = np.linalg.svd(own, full_matrices=False)[2][:SHARED]
        left[place] -= axes.T @ (axes @ left[place])
    return left


def name_words(
    student: NDArray[Any], base: NDArray[Any], null: Sequence[NDArray[Any]], words: Sequence[str], places: Sequence[int]
) -> tuple[Layer, ...]:
    """Return the words that layers lean to most, by z against null students, each read with the others as its null.

    With fewer than 3 null students there is no z, and words are ranked by their bare lean.
    """
    import numpy as np

    left = residual(student, base, null)
    spread = np.ones_like(left)
    if len(null) >= FEWEST:
        # Each is read against the others: a student that helps to span the axes would lose its own change with them.
        own = np.array([residual(one, base, [*null[:k], *null[k + 1 :]]) for k, one in enumerate(null)])
        # Half its own variance, half the mean of all words: a few students pin down one word's spread badly.
        spread = np.sqrt((own**2).mean(0) / 2 + (own**2).mean((0, 2))[:, None] / 2)
    z = left / spread
    named = [i for i, word in enumerate(words[: left.shape[1]]) if any(map(str.isalpha, word))]

    def said(place: int, i: int) -> Word:
        return Word(words[i].strip(), float(left[place, i]), float(z[place, i]) if len(null) >= FEWEST else None)

    best = [sorted(named, key=lambda i: -row[i])[:SHOWN] for row in z]
    return tuple(Layer(after, tuple(said(k, i) for i in best[k])) for k, after in enumerate(places))
