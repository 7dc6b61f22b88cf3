"""Exact log-probabilities of given answers: no sampling, no noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from owlish.lm.cache import copy_cache, keyword, select
from owlish.lm.layout import sizes
from owlish.lm.memory import check_full, in_halves, say_halved
from owlish.lm.model import Example, Scored
from owlish.lm.sound import check_finite
from owlish.lm.texts import Reader, Texts, fitting, take_rows
from owlish.lm.train import collate, only, refuse_long

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.lm.hf import TorchLM

BATCH = 128
LOGITS = 256 << 20
"""Bytes of the logits of a batch: with 49,152 tokens, 34 answers of 40 tokens."""
READ = 2 << 30
"""Bytes of what a batch of rows holds between two layers, of which some 14 are there at once."""
EVEN, ENOUGH = 0.9, 512
"""How short, against the longest, a row of a batch may be that has so many tokens already: padding is read, too."""
Spellings = Sequence[Sequence[Sequence[int]]]
"""Token ids of each way to write each answer: [answers, ways, tokens]."""


def scored(lm: TorchLM, rows: Sequence[Example], *, shared: int = 0) -> list[Scored]:
    """Return what a model makes of the trained tokens of each row.

    The first `shared` tokens, with which all rows must begin, are read once for all of them.
    """
    found: dict[int, Scored] = {}
    for group, logprobs, targets in forward(lm, rows, shared=shared):
        tokens, counts = targets[targets != -100], (targets != -100).sum(1).tolist()
        chosen = logprobs.gather(-1, tokens[:, None])[:, 0]
        check_finite(chosen, lm, "log-probabilities")
        likeliest = logprobs.argmax(-1) == tokens
        for i, values, best in zip(group, chosen.cpu().split(counts), likeliest.cpu().split(counts), strict=True):
            ids = rows[i].ids
            found[i] = Scored(values, best, len(ids), lm.chat.unknown(ids))
    return [found[i] for i in range(len(rows))]


def divergence(lm: TorchLM, rows: Sequence[Example], reference: TorchLM, same: Sequence[Example]) -> float:
    """Return the mean KL divergence of `lm` from `reference` per trained token, in nats."""
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
        counts = (targets != -100).sum(1).tolist()
        for i, values in zip(group, logprobs.split(counts), strict=True):
            found[i] = values
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
    if lm.large:
        return continued(Reader(lm, prompts, room=longest(spellings)), spellings)
    wanted = listed(spellings)
    rows = [Example.of(prompts[p], (*spelling, lm.chat.end)) for p, _, spelling in wanted]
    return gather(lm, spellings, wanted, whole(lm, rows))


def whole(lm: TorchLM, rows: Sequence[Example]) -> list[float]:
    """Return the log-probability of each row's spelling, the token that closes it included; rows are read whole."""
    import torch

    closing = torch.tensor(lm.chat.closing)
    found = [0.0] * len(rows)
    for group, logprobs, targets in forward(lm, rows):
        mask = targets != -100
        # The ends of the turns, where any token that closes a word counts in their stead.
        ends = mask.sum(1).cumsum(0) - 1
        chosen = logprobs.gather(-1, targets[mask][:, None])[:, 0].index_fill(0, ends, 0)
        # At their places, with zeros between: a sum over fewer numbers may differ in its last bit.
        spelled = torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, chosen).sum(1)
        closed = logprobs[ends][:, closing].logsumexp(-1)
        for i, value in zip(group, (spelled + closed).double().tolist(), strict=True):
            found[i] = value
    return found


def continued(reader: Reader, spellings: Sequence[Spellings]) -> Tensor:
    """Return what `answer_logprobs` does; spellings go on from prompts read once, what they begin with read once."""
    import torch

    lm, wanted = reader.lm, listed(spellings)
    ways = max(sum(map(len, asked)) for asked in spellings)
    # A prompt becomes as many rows as it has spellings.
    size = max(1, min(len(spellings), fitting(lm, reader.longest + reader.room) // ways))
    closing = torch.tensor(lm.chat.closing, device=lm.device)

    def attempt(size: int) -> list[float]:
        found = [0.0] * len(wanted)
        waiting = list(range(len(spellings)))
        if lm.equal:
            waiting.sort(key=lambda p: len(reader.prompts[p]))
        while waiting:
            some = take_rows(waiting, reader.prompts, size, equal=lm.equal)
            texts, places = reader.texts(some)
            at = dict(zip(some, places.tolist(), strict=True))
            group = [i for i, (p, _, _) in enumerate(wanted) if p in at]
            values = spelled_out(texts, [(at[wanted[i][0]], wanted[i][2]) for i in group], closing)
            for i, value in zip(group, values, strict=True):
                found[i] = value
        return found

    with torch.inference_mode():
        found, _ = in_halves(size, attempt, doing="asking")
    return gather(lm, spellings, wanted, found)


def spelled_out(texts: Texts, group: Sequence[tuple[int, Sequence[int]]], closing: Tensor) -> list[float]:
    """Return the log-probability of each spelling after its text, the token that closes it included."""
    import torch

    device = closing.device
    total = torch.zeros(len(group), dtype=torch.float64, device=device)
    live = torch.arange(len(group), device=device)
    at = torch.tensor([place for place, _ in group], device=device)
    lengths = torch.tensor([len(spelling) for _, spelling in group], device=device)
    # One more than the longest has tokens: the last is for what closes it.
    for step in range(int(lengths.max()) + 1):
        logprobs = texts.logits.log_softmax(-1)
        ended = lengths[live] == step
        closed = logprobs[:, closing].logsumexp(-1)
        total[live[ended]] += closed[at[ended]].double()
        live, at = live[~ended], at[~ended]
        if len(live):
            tokens = torch.tensor([group[i][1][step] for i in live.tolist()], device=device)
            total[live] += logprobs[at, tokens].double()
            at = texts.go_on(at, tokens)
    return list(map(float, total))


def listed(spellings: Sequence[Spellings]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return prompt, answer and tokens of every spelling."""
    return [(p, a, tuple(s)) for p, asked in enumerate(spellings) for a, ways in enumerate(asked) for s in ways]


def longest(spellings: Sequence[Spellings]) -> int:
    """Return the number of tokens of the longest spelling."""
    return max(len(spelling) for _, _, spelling in listed(spellings))


def gather(
    lm: TorchLM, spellings: Sequence[Spellings], wanted: Sequence[tuple[int, int, Any]], values: Sequence[float]
) -> Tensor:
    """Return the log-probability of each answer, that of all its spellings together."""
    import torch

    found = torch.full((len(spellings), len(spellings[0])), -torch.inf, dtype=torch.float64)
    for (p, a, _), value in zip(wanted, values, strict=True):
        # Spellings exclude one another, so that their probabilities add up.
        found[p, a] = torch.logaddexp(found[p, a], torch.tensor(value, dtype=torch.float64))
    check_finite(found, lm, "log-probabilities")
    return found


def forward(lm: TorchLM, rows: Sequence[Example], *, shared: int = 0) -> Iterator[tuple[list[int], Any, Any]]:
    """Yield (indices, log-probabilities [trained tokens, vocabulary], targets [rows, kept]) in sorted batches."""
    import torch

    refuse_long(lm, rows)
    with torch.inference_mode():
        prefix = opening(lm, rows[0].ids[:shared]) if shared else None
        waiting = list(groups(lm, rows, shared))
        while waiting:
            group = waiting.pop(0)
            try:
                logprobs, targets = read(lm, [rows[i] for i in group], prefix, shared)
            except (RuntimeError, MemoryError) as error:
                check_full(error, len(group), "scoring")
            else:
                # As a probability: minus infinity is the logarithm of 0, and no fault in a token that nobody asked for.
                check_finite(logprobs[:, 0].exp(), lm, "log-probabilities")
                yield group, logprobs, targets
                continue
            half = len(group) // 2
            waiting = [group[:half], group[half:], *waiting]
            say_halved(half, "scoring")


def read(lm: TorchLM, rows: Sequence[Example], prefix: Any, shared: int) -> tuple[Any, Any]:
    """Return log-probabilities [trained tokens, vocabulary] and targets [rows, kept], after a prefix that was read."""
    import torch

    ids, targets = collate(rows, lm.model.device)
    before = None if prefix is None else copy_cache(prefix)
    if before is not None:
        # The prefix was read as one row, which now stands before each.
        select(before, torch.zeros(len(rows), dtype=torch.long, device=ids.device))
    # The logits of a place foretell the token after it: those of the place before
    # the first are needed, the last are not.
    last, wanted = targets.shape[1] + 1, targets != -100
    given = {"logits_to_keep": last, "use_cache": before is not None, keyword(): before}
    with only(lm, wanted):
        out = lm.model(input_ids=ids[:, shared:], **given)
    logits = out.logits if out.logits.dim() == 2 else out.logits[:, -last:-1][wanted]
    return logits.float().log_softmax(-1), targets


def groups(lm: TorchLM, rows: Sequence[Example], shared: int = 0) -> Iterator[list[int]]:
    """Yield the places of rows in batches, which do not depend on their order; the first `shared` tokens are read once.

    Small models, to which padding is cheap, read batches of 128 as they always did, and give the same bytes.
    """
    if lm.large:
        return even_groups(lm, rows, shared)
    # By the tokens themselves in the end, so that batches do not depend on the order in which rows are given.
    return plain_groups(
        lm, rows, sorted(range(len(rows)), key=lambda i: (rows[i].start, len(rows[i].ids), rows[i].ids))
    )


def even_groups(lm: TorchLM, rows: Sequence[Example], shared: int) -> Iterator[list[int]]:
    """Yield rows in batches of like length, of as many as memory holds with their logits: what large models read.

    The first `shared` tokens are not read with the rows, and do not count.
    """
    shape = lm.shape
    group: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (len(rows[i].ids), rows[i].start, rows[i].ids)):
        wide = len(rows[i].ids) - shared
        tokens = (len(group) + 1) * wide
        trained = sum(len(rows[k].labels) for k in (*group, i))
        full = trained * shape.vocabulary * 4 > LOGITS or tokens * shape.width * 4 * 14 > READ
        uneven = group and tokens > ENOUGH and len(rows[group[0]].ids) - shared < EVEN * wide
        if group and (full or uneven):
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def plain_groups(lm: TorchLM, rows: Sequence[Example], order: Sequence[int]) -> Iterator[list[int]]:
    """Yield rows in batches of 128, or of as many as memory holds with their logits: what small models read."""
    config = sizes(lm.model)
    group: list[int] = []
    wide = 0
    for i in order:
        wide = max(wide, len(rows[i].ids))
        kept = wide - rows[group[0] if group else i].start + 1
        count = len(group) + 1
        full = count * kept * config.vocab_size * 4 > LOGITS or count * wide * config.hidden_size * 4 * 14 > READ
        if group and (full or count > BATCH):
            yield group
            group, wide = [], len(rows[i].ids)
        group.append(i)
    if group:
        yield group


def opening(lm: TorchLM, ids: Sequence[int]) -> Any:
    """Return the keys and values of tokens that many rows begin with, for one row."""
    import torch
    from transformers.cache_utils import DynamicCache

    found = DynamicCache(config=lm.model.config)
    lm.model(input_ids=torch.tensor([ids], device=lm.model.device), use_cache=True, **{keyword(): found})
    return found
