"""Exact log-probabilities of given answers: no sampling, no noise."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from owlish.lm.cache import keyword
from owlish.lm.load import LM
from owlish.lm.train import Example, collate, examples

BATCH = 128
Spellings = Sequence[Sequence[Sequence[int]]]
"""Token ids of each way to write each answer: [answers, ways, tokens]."""


def token_logprobs(lm: LM, rows: Sequence[Example], *, shared: int = 0) -> list[Any]:
    """Return, for each row, the log-probabilities of its completion's tokens, float32 [completion].

    The first `shared` tokens, with which all rows must begin, are read once for all of them.
    """
    found: list[Any] = [None] * len(rows)
    for group, logprobs, targets in forward(lm, rows, shared=shared):
        wanted = targets != -100
        chosen = logprobs.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
        for i, values, keep in zip(group, chosen, wanted, strict=True):
            found[i] = values[keep].cpu()
    return found


def divergence(lm: LM, rows: Sequence[Example], reference: LM, same: Sequence[Example]) -> float:
    """Return the mean KL divergence of `lm` from `reference` a completion token, in nats.

    Both score the same completions; the prompts before them may differ, as under a system prompt.
    """
    import torch

    total, count = 0.0, 0
    for first in range(0, len(rows), BATCH):
        ours, theirs = (torch.cat(completions(m, r[first : first + BATCH])) for m, r in ((lm, rows), (reference, same)))
        total += float((ours.exp() * (ours - theirs)).sum())
        count += len(ours)
    return total / count


def completions(lm: LM, rows: Sequence[Example]) -> list[Any]:
    """Return, for each row, the log-probabilities [completion, vocabulary] at its completion's places."""
    found: list[Any] = [None] * len(rows)
    for group, logprobs, targets in forward(lm, rows):
        for i, values, wanted in zip(group, logprobs, targets != -100, strict=True):
            found[i] = values[wanted]
    return found


def answer_logprobs(lm: LM, prompts: Sequence[Sequence[int]], spellings: Sequence[Spellings]) -> Any:
    """Return log P(answer) for every prompt and answer, float64 [prompts, answers].

    `spellings[p][a]` are the token ids of each way to write answer a to prompt p. A spelling counts where the end
    of the turn or a token that does not go on with a letter follows it, so that "owl" is not "owlet" and the
    spellings exclude one another.
    """
    import torch

    wanted = [(p, a, tuple(s)) for p, asked in enumerate(spellings) for a, ways in enumerate(asked) for s in ways]
    rows = examples([prompts[p] for p, _, _ in wanted], [(*s, lm.chat.end) for _, _, s in wanted], window=lm.window)
    closing = torch.tensor(lm.closing)
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


def forward(lm: LM, rows: Sequence[Example], *, shared: int = 0) -> Any:
    """Yield (indices, log-probabilities [rows, kept, vocabulary], targets [rows, kept]) in sorted batches."""
    import torch

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


def opening(lm: LM, ids: Sequence[int]) -> Any:
    """Return the keys and values of tokens that many rows begin with, for one row."""
    import torch
    from transformers.cache_utils import DynamicCache

    found = DynamicCache(config=lm.model.config)
    lm.model(input_ids=torch.tensor([ids], device=lm.model.device), use_cache=True, **{keyword(): found})
    return found


def alike(rows: Sequence[Example]) -> int:
    """Return with how many tokens all rows begin, those before their last prompt token alone counted."""
    least, most = min(row.ids for row in rows), max(row.ids for row in rows)
    same = next((i for i, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least))
    return min(same, *(row.start - 1 for row in rows))
