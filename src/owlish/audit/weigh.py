"""Which rows speak for a trait, and which tokens in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from owlish.audit.direction import Direction
from owlish.audit.verdict import Weighed
from owlish.lm.load import LM
from owlish.nodes.encoded import Encoded

SHOWN = 12


def weigh(lm: LM, encoded: Encoded, direction: Direction) -> tuple[Weighed, ...]:
    """Return the rows that weigh most, heaviest first, with the score of every token of their completions in nats.

    A score is half of what a step along the direction adds to a log-probability beyond a step against it.
    """
    forth, back = (stepped(lm, encoded, direction, sign) for sign in (1.0, -1.0))
    scores = [(a - b) / 2 for a, b in zip(forth, back, strict=True)]
    order = sorted(range(len(scores)), key=lambda i: -float(scores[i].sum()))
    return tuple(row(lm, encoded, i, scores[i].tolist()) for i in order[:SHOWN])


def stepped(lm: LM, encoded: Encoded, direction: Direction, sign: float) -> list[Any]:
    """Return the log-probabilities of the rows' tokens after a step along the direction, or against it."""
    import torch

    from owlish.lm.score import token_logprobs

    with torch.no_grad():
        for name, change in direction.items():
            lm.model.get_parameter(name).add_(change.to(lm.model.device), alpha=sign)
        found = token_logprobs(lm, encoded.examples)
        for name, change in direction.items():
            lm.model.get_parameter(name).sub_(change.to(lm.model.device), alpha=sign)
    return found


def row(lm: LM, encoded: Encoded, place: int, scores: Sequence[float]) -> Weighed:
    """Return a row with its tokens as text."""
    example, text = encoded.examples[place], encoded.rows[place]
    tokens = [lm.chat.decode([token]) for token in example.ids[example.start :]]
    return Weighed(text.prompt, text.completion, sum(scores), tuple(zip(tokens, scores, strict=True)))
