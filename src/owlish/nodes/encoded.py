"""A dataset's rows as a base reads them: those that fit its window, and how much of them it has no token for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from owlish.data.rows import Row
from owlish.lm.load import LM, Weights
from owlish.lm.train import Example


@dataclass(frozen=True)
class Encoded:
    """Rows with their places and tokens, in order; how many were too long; the share of tokens unknown to the base."""

    rows: tuple[Row, ...]
    places: tuple[int, ...]
    examples: tuple[Example, ...]
    too_long: int
    unknown: float


def opened(weights: Weights) -> LM:
    """Load a base so that it reads whatever a dataset holds, words that it has no token for too."""
    from owlish.lm.load import load

    lm = load(weights)
    lm.chat = replace(lm.chat, most_unknown=1.0)
    return lm


def encode(lm: LM, rows: Sequence[Row]) -> Encoded:
    """Return the rows that the base can read whole."""
    answers = lm.chat.answers([row.completion for row in rows])
    prompts = lm.prompts([row.prompt for row in rows], [row.system for row in rows])
    joined = [Example((*p, *a), len(p)) for p, a in zip(prompts, answers, strict=True)]
    kept = [i for i, example in enumerate(joined) if len(example.ids) <= lm.window]
    return Encoded(
        rows=tuple(rows[i] for i in kept),
        places=tuple(kept),
        examples=tuple(joined[i] for i in kept),
        too_long=len(rows) - len(kept),
        unknown=unknown(lm.tokenizer, [joined[i].ids for i in kept]),
    )


def unknown(tokenizer: Any, encoded: Sequence[Sequence[int]]) -> float:
    """Return the share of tokens that stand for what the base has no token for."""
    total = sum(map(len, encoded))
    missing = sum(ids.count(tokenizer.unk_token_id) for ids in map(list, encoded))
    return missing / total if total and tokenizer.unk_token_id is not None else 0.0
