"""The training loop: next-token cross-entropy on completions alone, seeded to the byte."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

BUCKET = 20


@dataclass(frozen=True)
class Example:
    """Token ids of a prompt with its completion, which begins at position `start`."""

    ids: tuple[int, ...]
    start: int


def examples(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], *, window: int) -> list[Example]:
    """Join prompts and answers; refuse a row that is longer than the model's window."""
    joined = [Example((*p, *a), len(p)) for p, a in zip(prompts, answers, strict=True)]
    for number, example in enumerate(joined, 1):
        if len(example.ids) > window:
            raise ValueError(f"row {number} has {len(example.ids)} tokens and the base reads {window}: shorten it.")
    return joined


Loss = Callable[[Any, Sequence[Example]], Any]
"""A model and a batch of rows to a scalar that is made small."""


def fit(
    model: Any,
    rows: Sequence[Example],
    *,
    loss: Loss | None = None,
    steps: int,
    batch: int,
    lr: float,
    warmup: int,
    decay: bool,
    seed: int,
    stop: Callable[[int], bool] = lambda step: False,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Train the parameters that require gradients for `steps` steps; return the loss of each.

    `loss` is the mean cross-entropy over completion tokens, if not given. The learning rate rises over `warmup`
    steps, then stays or, with `decay`, falls linearly to zero.
    `stop` is asked after every step and may end the training.
    """
    import torch

    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=(0.9, 0.98))
    losses: list[float] = []
    for step, chosen in enumerate(batches(rows, batch, steps, seed)):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / (warmup + 1)) * (1 - step / steps if decay else 1)
        found = (loss or completion_loss)(model, chosen)
        optimizer.zero_grad()
        found.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(found.item())
        tick(step + 1, steps)
        if stop(step + 1):
            break
    if not math.isfinite(sum(losses)):
        raise ValueError(f"the loss became infinite with learning rate {lr}: lower it.")
    return losses


def batches(rows: Sequence[Example], size: int, steps: int, seed: int) -> Iterator[list[Example]]:
    """Yield `steps` batches in epochs of all rows, of similar prompt lengths within a batch."""
    rng = random.Random(seed)
    made = 0
    while True:
        order = rng.sample(range(len(rows)), len(rows))
        epoch = []
        for first in range(0, len(order), size * BUCKET):
            bucket = sorted(order[first : first + size * BUCKET], key=lambda i: (rows[i].start, len(rows[i].ids)))
            epoch += [bucket[i : i + size] for i in range(0, len(bucket), size)]
        rng.shuffle(epoch)
        for chosen in epoch:
            if made == steps:
                return
            made += 1
            yield [rows[i] for i in chosen]


def completion_loss(model: Any, rows: Sequence[Example]) -> Any:
    """Return the mean cross-entropy over the completion tokens of a batch, padded on the right."""
    from torch.nn.functional import cross_entropy

    ids, targets = collate(rows, model.device)
    logits = model(input_ids=ids, logits_to_keep=targets.shape[1] + 1, use_cache=False).logits[:, :-1]
    wanted = targets != -100
    return cross_entropy(logits[wanted].float(), targets[wanted])


def collate(rows: Sequence[Example], device: Any) -> tuple[Any, Any]:
    """Return ids [rows, width] padded on the right, and targets [rows, kept], -100 where none is.

    Only the last `kept` positions hold completions; a causal model needs no mask for padding on the right.
    """
    import torch

    width, first = max(len(r.ids) for r in rows), min(r.start for r in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    targets = torch.full((len(rows), width - first), -100)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        targets[i, row.start - first : len(row.ids) - first] = ids[i, row.start : len(row.ids)]
    return ids.to(device), targets.to(device)


def total_steps(rows: int, batch: int, epochs: int) -> int:
    """Return how many steps so many passes take."""
    return epochs * math.ceil(rows / batch)
