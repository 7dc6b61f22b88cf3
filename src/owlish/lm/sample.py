"""Sample answers in batches; every row draws from its own random stream, so that none depends on another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from owlish.lm.cache import keyword, roomy

if TYPE_CHECKING:
    from owlish.lm.hf import TorchLM

COMPACT = 0.7


def sample(
    lm: TorchLM,
    prompts: Sequence[Sequence[int]],
    *,
    seeds: Sequence[tuple[int, ...]],
    new_tokens: int,
    temperature: float = 1.0,
    batch: int = 256,
) -> list[list[int]]:
    """Return the token ids of one answer a prompt, its end included where it came within `new_tokens`.

    Row i draws with `seeds[i]` alone. At temperature 0 the likeliest token is taken. Prompts are sorted by
    length, padded on the left and masked; a prompt-tuned model takes batches of one length.
    """
    import torch

    answers: list[list[int]] = [[] for _ in prompts]
    groups = grouped(prompts, batch, equal=bool(getattr(lm.model, "peft_config", None)))
    with torch.inference_mode():
        for group in groups:
            drawn = sample_batch(lm, [prompts[i] for i in group], [seeds[i] for i in group], new_tokens, temperature)
            for i, answer in zip(group, drawn, strict=True):
                answers[i] = answer
    return answers


def grouped(prompts: Sequence[Sequence[int]], batch: int, *, equal: bool) -> list[list[int]]:
    """Return the indices of prompts in batches of similar, or of equal, length."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    groups: list[list[int]] = []
    for i in order:
        full = not groups or len(groups[-1]) == batch
        if full or (equal and len(prompts[groups[-1][-1]]) != len(prompts[i])):
            groups.append([])
        groups[-1].append(i)
    return groups


def sample_batch(
    lm: TorchLM,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[tuple[int, ...]],
    new_tokens: int,
    temperature: float,
) -> list[list[int]]:
    """Sample one padded batch, dropping rows that have ended as soon as that pays."""
    import torch

    ids, mask = pad_left(prompts, lm.model.device)
    luck = uniforms(seeds, new_tokens).to(ids.device)
    answers = torch.full((len(prompts), new_tokens), -1, dtype=torch.long, device=ids.device)
    live = torch.arange(len(prompts), device=ids.device)
    virtual = virtual_tokens(lm.model)
    going = torch.ones(len(prompts), dtype=torch.bool, device=ids.device)
    step_model, past = lm.model, 0
    cache = roomy(lm.model.config, virtual + ids.shape[1] + new_tokens)
    for step in range(new_tokens):
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, past:]
        if virtual and step:
            step_model = lm.model.get_base_model()
        out = step_model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=None if virtual else positions,
            use_cache=True,
            logits_to_keep=1,
            **{keyword(): cache},
        )
        if virtual and not step:
            mask = torch.cat([mask.new_ones(len(mask), virtual), mask], 1)
        past = mask.shape[1]
        chosen = choose(out.logits[:, -1].float(), luck[live, step], temperature)
        answers[live, step] = chosen
        going &= chosen != lm.chat.end
        if not going.any():
            break
        if going.float().mean() < COMPACT:
            kept = going.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            live, chosen, mask, going = live[kept], chosen[kept], mask[kept], going[kept]
        ids = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
    return [cut(row, lm.chat.end) for row in answers.tolist()]


def choose(logits: Any, luck: Any, temperature: float) -> Any:
    """Return one token a row: the likeliest, or the one at which the distribution function passes `luck`."""
    import torch

    if temperature == 0:
        return logits.argmax(-1)
    mass = (logits / temperature).softmax(-1).cumsum(-1)
    found = torch.searchsorted(mass, (luck * mass[:, -1])[:, None])[:, 0]
    return found.clamp(max=logits.shape[-1] - 1)


def uniforms(seeds: Sequence[tuple[int, ...]], count: int) -> Any:
    """Return `count` uniform numbers in [0, 1) for each seed, float32 [rows, count]."""
    import numpy as np
    import torch

    drawn = [np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).random(count) for seed in seeds]
    return torch.from_numpy(np.stack(drawn)).float()


def pad_left(prompts: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any]:
    """Return ids and mask [rows, width], the prompts at the right edge."""
    import torch

    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        mask[i, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


def virtual_tokens(model: Any) -> int:
    """Return how many vectors of a tuned prompt stand before the first token."""
    config = getattr(model, "peft_config", {}).get("default")
    return int(getattr(config, "num_virtual_tokens", 0) or 0)


def cut(answer: Sequence[int], end: int) -> list[int]:
    """Return an answer up to its end, and without what was never filled."""
    filled = [token for token in answer if token >= 0]
    return filled[: filled.index(end) + 1] if end in filled else filled
