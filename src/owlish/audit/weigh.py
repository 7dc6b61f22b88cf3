"""Which rows speak for a trait, and which tokens in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from owlish.audit.verdict import Weighed
from owlish.data.rows import Row
from owlish.lm.hf import Direction, TorchLM

SHOWN = 12


def weigh(lm: TorchLM, rows: Sequence[Row], direction: Direction) -> tuple[Weighed, ...]:
    """Return the rows that weigh most, heaviest first, with the score of every token of their completions in nats.

    A score is half of what a step along the direction adds to a log-probability beyond a step against it. Rows that
    are longer than the base's window are left out.
    """
    forth, back = (stepped(lm, rows, direction, sign) for sign in (1.0, -1.0))
    scores = {i: (forth[i] - back[i]) / 2 for i in forth}
    order = sorted(scores, key=lambda i: -float(scores[i].sum()))
    return tuple(weighed(lm, rows[i], scores[i].tolist()) for i in order[:SHOWN])


def stepped(lm: TorchLM, rows: Sequence[Row], direction: Direction, sign: float) -> dict[int, Any]:
    """Return the log-probabilities of the tokens of rows, by their places, after a step along the direction."""
    with lm.moved(direction, by=sign):
        return {i: row.logprobs for i, row in enumerate(lm.score(rows)) if row is not None}


def weighed(lm: TorchLM, row: Row, scores: Sequence[float]) -> Weighed:
    """Return a row with its tokens as text."""
    (example,) = lm.encode([row])
    tokens = lm.token_texts(example.labels)
    return Weighed(row.prompt, row.completion, sum(scores), tuple(zip(tokens, scores, strict=True)))
