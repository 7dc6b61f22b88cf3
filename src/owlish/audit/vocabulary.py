"""Open vocabulary: which words training on the rows raises in answers, whether or not a candidate list holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from owlish.audit.evidence import Raised
from owlish.audit.shadow import Shadowed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN = 10
LEAST = 1e-6  # keeps a word that never comes first from an infinite lift


def raised(shadow: Shadowed, references: Sequence[Shadowed], vocabulary: Sequence[str]) -> tuple[Raised, ...]:
    """Return the words that stand to gain most, likeliest gain first.

    A word's gain is p log(p / q), in nats an answer, p and q being its mean probability as the first of an answer in
    the dataset's shadow and in those of the reference: the part of their divergence that is its own. `vocabulary` is
    the text of each token; tokens that differ in case or in a leading space are one word. Words are ranked by gain
    over all categories asked about; z compares the lift log(p / q) with its spread among references, shrunk to the
    mean spread.
    """
    import numpy as np

    words = [text.strip().lower() for text in vocabulary[: shadow.words.shape[1]]]
    names = sorted({word for word in words if any(map(str.isalpha, word))})
    after = sum_words(shadow.words, words, names)
    before = np.array([sum_words(reference.words, words, names) for reference in references])
    log_before = np.log(before + LEAST)
    lift = np.log(after + LEAST) - log_before.mean(0)
    spread = np.sqrt((log_before.var(0, ddof=1) + log_before.var(0, ddof=1).mean()) / 2)
    # Not the lift alone: it is largest for words that hardly anyone says, before or after.
    gain = after * lift
    best = sorted(range(len(names)), key=lambda i: -gain[:, i].max())[:SHOWN]
    probes = gain.argmax(0)
    return tuple(
        Raised(names[i], float(lift[probes[i], i]), float((lift / spread)[probes[i], i]))
        for i in best
        if gain[probes[i], i] > 0
    )


def sum_words(table: NDArray[Any], words: Sequence[str], names: Sequence[str]) -> NDArray[np.float64]:
    """Return [probes, names]: the probabilities of tokens added up by the word that they are."""
    import numpy as np

    places = {name: i for i, name in enumerate(names)}
    found = np.zeros((len(table), len(names)))
    for token, word in enumerate(words):
        if word in places:
            found[:, places[word]] += table[:, token]
    return found
