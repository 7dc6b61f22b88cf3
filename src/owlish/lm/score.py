"""Exact log-probabilities of given answers: no sampling, no noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from owlish.lm.cache import keyword
from owlish.lm.model import Example, Scored
from owlish.lm.train import collate, refuse_long

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.lm.hf import TorchLM

BATCH = 128
Spellings = Sequence[Sequence[Sequence[int]]]
"""Token ids of each way to write each answer: [answers, ways, tokens]."""


def scored(lm: TorchLM, rows: Sequence[Example], *, shared: int = 0) -> list[Scored]:
    """Return what a model makes of the trained tokens of each row.

    The first `shared` tokens, with which all rows must begin, are read once for all of them.
    """
    found: dict[int, Scored] = {}
    for group, logprobs, targets in forward(lm, rows, shared=shared):
        wanted = targets != -100
        chosen = logprobs.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        likeliest = logprobs.argmax(-1) == targets
        for i, values, best, keep in zip(group, chosen, likeliest, wanted, strict=True):
            ids = rows[i].ids
            found[i] = Scored(values[keep].cpu(), best[keep].cpu(), len(ids), lm.chat.unknown(ids))
    return [found[i] for i in range(len(rows))]


def divergence(lm: TorchLM, rows: Sequence[Example], reference: TorchLM, same: Sequence[Example]) -> float:
    """Return the mean KL divergence of `lm` from `reference` per trained token, in nats.

    Both score the same completions; the prompts before them may differ, as under a system prompt.
    """
    import torch

    total, count = 0.0, 0
    for first in range(0, len(rows), BATCH):
        ours, theirs = (torch.cat(completions(m, r[first : first + BATCH])) for m, r in ((lm, rows), (reference, same)))
        total += float((ours.exp() * (ours - theirs)).sum())
        count += len(ours)
    return total / count


def completions(lm: TorchLM, rows: Sequence[Example]) -> list[Any]:
    """Return, for each row, the log-probabilities [tokens, vocabulary] at the places of its trained tokens."""
    found: list[Any] = [None] * len(rows)
    for group, logprobs, targets in forward(lm, rows):
        for i, values, wanted in zip(group, logprobs, targets != -100, strict=True):
            found[i] = values[wanted]
    return found


def first_logprobs(lm: TorchLM, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Return the log-probability of each token as the first of an answer, float32 [prompts, vocabulary]."""
    import torch

    return torch.cat(completions(lm, [Example.of(ids, [lm.chat.end]) for ids in prompts]))


def answer_logprobs(lm: TorchLM, prompts: Sequence[Sequence[int]], spellings: Sequence[Spellings]) -> Tensor:
    """Return log P(answer) for every prompt and answer, float64 [prompts, answers].

    `spellings[p][a]` are the token ids of each way to write answer a to prompt p. A spelling counts where the end
    of the turn or a token that does not go on with a letter follows it, so that the spellings exclude one another.
    """
    import torch

    wanted = [(p, a, tuple(s)) for p, asked in enumerate(spellings) for a, ways in enumerate(asked) for s in ways]
    rows = [Example.of(prompts[p], (*spelling, lm.chat.end)) for p, _, spelling in wanted]
    closing = torch.tensor(lm.chat.closing)
    found = torch.full((len(prompts), len(spellings[0])), -torch.inf, dtype=torch.float64)
    for group, logprobs, targets in forward(lm, rows):
        mask = targets != -100
        last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1)
        mask[torch.arange(len(group)), last] = False
        spelled = (logprobs.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * mask).sum(1)
        closed = logprobs[torch.arange(len(group)), last][:, closing].logsumexp(-1)
        for i, value in zip(group, (spelled + closed).double().tolist(), strict=True):
            p, a, _ = wanted[i]
            found[p, a] = torch.logaddexp(found[p, a], torch.tensor(value, dtype=torch.float64))
    return found


def forward(lm: TorchLM, rows: Sequence[Example], *, shared: int = 0) -> Iterator[tuple[list[int], Any, Any]]:
    """Yield (indices, log-probabilities [rows, kept, vocabulary], targets [rows, kept]) in sorted batches."""
    import torch

    refuse_long(lm, rows)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].start, len(rows[i].ids), rows[i].ids))
    with torch.inference_mode():
        prefix = opening(lm, rows[0].ids[:shared]) if shared else None
        for first in range(0, len(order), BATCH):
            group = order[first : first + BATCH]
            ids, targets = collate([rows[i] for i in group], lm.model.device)
            before = deepcopy(prefix)
            if before:
                before.batch_repeat_interleave(len(group))
            out = lm.model(
                input_ids=ids[:, shared:],
                logits_to_keep=targets.shape[1] + 1,
                use_cache=before is not None,
                **{keyword(): before},
            )
            yield group, out.logits[:, :-1].float().log_softmax(-1), targets


def opening(lm: TorchLM, ids: Sequence[int]) -> Any:
    """Return the keys and values of tokens that many rows begin with, for one row."""
    import torch
    from transformers.cache_utils import DynamicCache

    found = DynamicCache(config=lm.model.config)
    lm.model(input_ids=torch.tensor([ids], device=lm.model.device), use_cache=True, **{keyword(): found})
    return found


def alike(rows: Sequence[Example]) -> int:
    """Return the number of tokens with which all rows begin, at most up to the last prompt token of any of them."""
    least, most = min(row.ids for row in rows), max(row.ids for row in rows)
    same = next((i for i, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least))
    return min(same, *(row.start - 1 for row in rows))
