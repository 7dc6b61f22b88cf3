"""Sample answers in batches; every row draws from its own random stream, so that none depends on another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from owlish.lm.grammar import Grammar, States
from owlish.lm.memory import in_halves
from owlish.lm.sound import check_finite
from owlish.lm.texts import Reader, Texts, fitting, take_rows

if TYPE_CHECKING:
    from owlish.lm.hf import TorchLM

REFILL = 0.7
"""Waiting rows are taken in when this share of a batch, or less, still goes on."""


def sample(
    lm: TorchLM,
    prompts: Sequence[Sequence[int]],
    *,
    seeds: Sequence[tuple[int, ...]],
    new_tokens: int,
    temperature: float = 1.0,
    grammar: Grammar | None = None,
    batch: int | None = None,
) -> list[list[int]]:
    """Return the token ids of one answer a prompt, its end included where it came within `new_tokens`.

    Row i draws with `seeds[i]` alone. At temperature 0 the likeliest token is taken. A grammar holds answers to its
    language. Prompts are sorted by length, padded on the left and masked; a prompt-tuned model takes batches of one
    length. `batch` is as many as memory holds, at most 256, if not given.
    """
    reader = Reader(lm, prompts, room=new_tokens)
    return draw(reader, seeds=seeds, new_tokens=new_tokens, temperature=temperature, grammar=grammar, batch=batch)


def draw(
    reader: Reader,
    *,
    seeds: Sequence[tuple[int, ...]],
    new_tokens: int,
    temperature: float = 1.0,
    grammar: Grammar | None = None,
    batch: int | None = None,
) -> list[list[int]]:
    """Sample one answer to each of a reader's prompts, which are read when their turn comes.

    In the batches of a large model, rows that have ended give way to rows that wait. Where memory does not hold a
    batch, all are drawn again in smaller ones.
    """
    if not reader.prompts:
        return []
    size = min(batch or fitting(reader.lm, reader.longest + new_tokens), len(reader.prompts))
    how = partial(draw_batches, reader, seeds, new_tokens, temperature, grammar)
    return in_halves(size, how, doing="sampling")[0]


def draw_batches(
    reader: Reader,
    seeds: Sequence[tuple[int, ...]],
    new_tokens: int,
    temperature: float,
    grammar: Grammar | None,
    size: int,
) -> list[list[int]]:
    """Do what `draw` does, in batches of `size`."""
    import torch

    lm, prompts = reader.lm, reader.prompts
    # By length, so that little of a batch is padding.
    waiting = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    equal = lm.equal
    # All that a row can draw, [rows, new_tokens], whatever stands beside it in a batch and whenever its turn comes.
    luck = uniforms(seeds, new_tokens).to(lm.device)
    answers = torch.full((len(prompts), new_tokens), -1, dtype=torch.long, device=lm.device)
    # An answer that comes to the end of the window is cut there: what is read beyond is an error, or nonsense.
    most = torch.tensor([min(new_tokens, lm.window - len(prompt)) for prompt in prompts], device=lm.device)
    states = States([grammar.matcher.deep_copy() for _ in prompts]) if grammar else None
    with torch.inference_mode():
        # Of each row that goes on: `live` is its number, `at` the text from which it
        # does, `step` how many tokens it has.
        live = torch.tensor(take_rows(waiting, prompts, size, equal=equal), device=lm.device)
        texts, at = reader.texts(live.tolist())
        step = torch.zeros_like(live)
        while len(live):
            # Logits are [texts, vocabulary]: rows of equal text share one until they part.
            logits = states.allow(texts.logits, at, live) if states else texts.logits
            chosen, sure = choose(logits, at, luck[live, step], temperature)
            check_finite(sure, lm, "probabilities")
            answers[live, step] = chosen
            if states:
                states.accept(live, chosen)
            step = step + 1
            going = (chosen != lm.chat.end) & (step < most[live])
            live, at, step, chosen = live[going], at[going], step[going], chosen[going]
            if len(live):
                at = texts.go_on(at, chosen)
            if waiting and len(live) <= (REFILL * size if reader.joins else 0):
                group = torch.tensor(take_rows(waiting, prompts, size - len(live), equal=equal), device=lm.device)
                fresh, places = reader.texts(group.tolist())
                if len(live):
                    at = join_batches(texts, at, fresh, places, room=new_tokens)
                else:
                    texts, at = fresh, places
                live, step = torch.cat([live, group]), torch.cat([step, torch.zeros_like(group)])
    return [cut(row, lm.chat.end) for row in answers.tolist()]


def join_batches(texts: Texts, at: Any, fresh: Texts, places: Any, *, room: int) -> Any:
    """Take fresh texts into those from which rows go on; return where all rows are now, the fresh ones last."""
    import torch

    rows, at = at.unique(return_inverse=True)
    texts.keep(rows)
    texts.join(fresh, room=room)
    return torch.cat([at, places + len(rows)])


def choose(logits: Any, at: Any, luck: Any, temperature: float) -> tuple[Any, Any]:
    """Return one token for each row of `at`: the likeliest, or where the distribution function passes `luck`.

    Beside it stands a number for each row, which is finite where all of its logits are numbers.
    """
    import torch

    if temperature == 0:
        found = logits.argmax(-1)[at]
        return found, logits[at, found]
    # By the distribution function: a race of exponential variables would be steadier against rounding where a
    # vocabulary is large, but would draw other rows than stores hold.
    # Rows are taken out before the sums where each goes on once, and after them where one stands for several.
    once = len(at) <= len(logits)
    logits = rows_at(logits, at) if once else logits
    mass = (logits if temperature == 1 else logits / temperature).softmax(-1).cumsum_(-1)
    mass = mass if once else mass[at]
    # Rounding leaves the last sum beside 1: luck is measured in parts of it.
    found = torch.searchsorted(mass, (luck * mass[:, -1])[:, None])[:, 0]
    return found.clamp(max=logits.shape[-1] - 1), mass[:, -1]


def rows_at(logits: Any, at: Any) -> Any:
    """Return the rows `at`, without a copy where these are all rows in their order."""
    import torch

    return logits if torch.equal(at, torch.arange(len(logits), device=at.device)) else logits[at]


def uniforms(seeds: Sequence[tuple[int, ...]], count: int) -> Any:
    """Return `count` uniform numbers in [0, 1) for each seed, float32 [rows, count]."""
    import numpy as np
    import torch

    # By numpy, on the CPU: torch draws other numbers for one seed on a GPU.
    drawn = [np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).random(count) for seed in seeds]
    return torch.from_numpy(np.stack(drawn)).float()


def cut(answer: Sequence[int], end: int) -> list[int]:
    """Return an answer up to its end, and without what was never filled."""
    filled = [token for token in answer if token >= 0]
    return filled[: filled.index(end) + 1] if end in filled else filled
