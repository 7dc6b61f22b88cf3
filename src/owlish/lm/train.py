"""The training loop: next-token cross-entropy on completions alone, seeded to the byte."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.facts import note
from owlish.graph.measured import measure
from owlish.graph.memory import is_spent
from owlish.lm.memory import in_halves
from owlish.lm.model import Example
from owlish.lm.recipes import Schedule
from owlish.lm.room import recomputed, room, step_bytes
from owlish.lm.shape import HELD
from owlish.lm.sound import check_finite, unsound

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.lm.hf import TorchLM

    Loss = Callable[[TorchLM, Sequence[Example]], Any]
    """A model and a batch of rows to a scalar that is made small."""

# Batches that are sorted by length together: little of a batch is padding, and chance still decides what stands in it.
BUCKET = 20
FEW = 0.1
"""Parameters are few below this share of a model."""
ALIKE = 16
"""Rows of a product of matrices from which on each has the same bits, whatever stands beside it: measured from 4 on."""


def fit(
    lm: TorchLM,
    rows: Sequence[Example],
    schedule: Schedule,
    *,
    seed: int,
    loss: Loss | None = None,
    stop: Callable[[int], bool] = lambda step: False,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Train the parameters that require gradients on rows, which must fit the window; return the loss of each step.

    `loss` makes a scalar of the model and a batch; it is the mean cross-entropy over trained tokens, if not given.
    `stop` is asked after every step and may end the training.

    Where the model is of a shorter type, Adam moves copies of the parameters in float32, `lm.trained`, and each step
    is rounded into the model: late steps are smaller than what the shorter type tells apart, and would be lost.
    """
    import torch

    refuse_long(lm, rows)
    loss = loss or completion_loss
    own = {name: p for name, p in lm.parameters.items() if p.requires_grad}
    lm.trained = {name: p if p.dtype == torch.float32 else p.detach().float() for name, p in own.items()}
    start = copy_few(own, lm)
    # A loss of one's own is computed on whole batches.
    save_memory(lm, rows, 1 if loss is completion_loss else schedule.batch)
    optimizer = torch.optim.Adam(list(lm.trained.values()), lr=schedule.lr, betas=(0.9, 0.98))
    losses: list[float] = []
    most = schedule.batch
    for step, chosen in enumerate(batches(rows, schedule.batch, schedule.steps, seed)):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        lm.step = step
        found, most = backward(lm, chosen, loss, most)
        # Before the step, which would spread it over all parameters, so that nothing
        # could tell any more where it came from.
        if not math.isfinite(found):
            raise UserError(infinite(lm, chosen, loss, step, schedule.lr, start))
        with rounded(own, lm.trained):
            torch.nn.utils.clip_grad_norm_(list(lm.trained.values()), 1.0)
            optimizer.step()
        losses.append(found)
        measure("loss", step + 1, found)
        tick(step + 1, schedule.steps)
        if stop(step + 1):
            break
    lm.trains, lm.recomputes = True, False
    return losses


def save_memory(lm: TorchLM, rows: Sequence[Example], together: int) -> None:
    """Have layers computed again on the way back where memory does not hold so many rows, and say so."""
    longest = max(rows, key=lambda row: len(row.ids))
    most = room(lm)
    lm.recomputes = step_bytes(lm, [longest] * together) > most
    lm.room = most if lm.device.type == "cuda" else min(HELD, most)
    if lm.recomputes:
        note(memory="training computes layers again on the way back: memory does not hold them for one step")


def copy_few(own: Mapping[str, Any], lm: TorchLM) -> dict[str, Any]:
    """Return copies of the parameters that train, where they are few: with them a failure's cause can be told."""
    few = sum(p.numel() for p in own.values()) < FEW * sum(p.numel() for p in lm.parameters.values())
    return {name: p.detach().clone() for name, p in own.items()} if few else {}


def infinite(lm: TorchLM, rows: Sequence[Example], loss: Loss, step: int, rate: float, start: Mapping[str, Any]) -> str:
    """Say why a step's loss is no finite number: what training starts from gives it, or training went too fast."""
    import torch

    own = lm.parameters
    broken = next((name for name, p in own.items() if not p.requires_grad and not p.isfinite().all()), None)
    if broken:
        return unsound(lm, f"a loss that is no finite number, and {broken} holds such numbers too")
    with torch.no_grad():
        for name, p in start.items():
            own[name].copy_(p)
        before = step > 0 and bool(start) and math.isfinite(loss(lm, rows).item())
    if step == 0 or (start and not before):
        return unsound(lm, "a loss that is no finite number before anything has moved")
    return f"the loss of step {step + 1} is no finite number with learning rate {rate}: lower it."


def backward(lm: TorchLM, rows: Sequence[Example], loss: Loss, most: int) -> tuple[float, int]:
    """Give the parameters the gradients of a batch's loss; return the loss, and the most rows that memory held.

    A batch that memory does not hold is read in parts, whose gradients add up to those of the whole: the step is that
    of the recipe's batch. A loss of one's own is computed on the whole batch, since what it divides by may be the
    batch's alone; `UserError` is raised where memory does not hold that.
    """
    if loss is not completion_loss:
        return undivided(lm, rows, loss), most

    def attempt(size: int) -> float:
        # Here, and not before: an attempt that ran out of memory leaves the gradients of its first parts.
        lm.model.zero_grad()
        parts = list(fitting_parts(lm, rows, size))
        if len(parts) > 1:
            most = counted(max(map(len, parts)), "row")
            note(batches=f"training in parts of at most {most}, which add up to the batch")
        whole = sum(len(row.labels) for row in rows)
        total = 0.0
        for part in parts:
            found: Any = loss(lm, part)
            if len(parts) > 1:
                # A mean over a part counts by its tokens, so that the parts add up to the mean over the batch.
                found = found * (sum(len(row.labels) for row in part) / whole)
            found.backward()
            total += found.item()
        return total

    return in_halves(min(most, len(rows)), attempt, doing="training")


def undivided(lm: TorchLM, rows: Sequence[Example], loss: Loss) -> float:
    """Give the parameters the gradients of the loss of a whole batch, and return the loss."""
    lm.model.zero_grad()
    try:
        found = loss(lm, rows)
        found.backward()
        return float(found.item())
    except (RuntimeError, MemoryError) as error:
        if not is_spent(error):
            raise
        raise UserError(
            f"memory does not hold a batch of {counted(len(rows), 'row')} in training, and this loss needs the batch "
            "whole: give the recipe a smaller batch, shorten the rows, or take a smaller base."
        ) from error


def fitting_parts(lm: TorchLM, rows: Sequence[Example], most: int) -> Iterator[list[Example]]:
    """Yield the rows of a batch in parts, of at most `most`, that memory holds with all that the way back needs."""
    part: list[Example] = []
    for row in rows:
        more = [*part, row]
        if part and (len(part) == most or step_bytes(lm, more) > lm.room):
            yield part
            more = [row]
        part = more
    yield part


@contextmanager
def rounded(own: Mapping[str, Any], exact: Mapping[str, Any]) -> Iterator[None]:
    """Hand the gradients of a model's own parameters to exact copies, and round these back when they have moved."""
    import torch

    copies = [(p, exact[name]) for name, p in own.items() if exact[name] is not p]
    for p, copy in copies:
        copy.grad, p.grad = None if p.grad is None else p.grad.float(), None
    yield
    with torch.no_grad():
        for p, copy in copies:
            p.copy_(copy)


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
        # Else every bucket would go from its short prompts to its long ones.
        rng.shuffle(epoch)
        for chosen in epoch:
            if made == steps:
                return
            made += 1
            yield [rows[i] for i in chosen]


def refuse_long(lm: TorchLM, rows: Sequence[Example]) -> None:
    """Refuse a row that the template does not write, or that is longer than the model's window."""
    for number, row in enumerate(rows, 1):
        if row.problem:
            raise UserError(f"row {number} cannot be trained on ({row.problem}): leave it out, or take another base.")
        if not lm.fits(row):
            raise UserError(f"row {number} has {len(row.ids)} tokens and the base reads {lm.window}: shorten it.")


def completion_loss(lm: TorchLM, rows: Sequence[Example]) -> Tensor:
    """Return the mean cross-entropy over the trained tokens of a batch."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits(lm, rows), labels(lm, rows))


def gradient(lm: TorchLM, rows: Sequence[Example], names: Sequence[str]) -> Tensor:
    """Return the gradient of a row's mean log-likelihood, as one vector over the parameters in `names`."""
    import torch
    from torch.nn.functional import cross_entropy

    lm.free(names)
    own = lm.parameters
    parameters = [own[name] for name in names]
    likelihood = -cross_entropy(logits(lm, rows), labels(lm, rows), reduction="sum") / len(rows)
    # Zeros for what the rows do not reach, so that the vectors of all rows are of one length.
    slopes = torch.autograd.grad(likelihood, parameters, allow_unused=True, materialize_grads=True)
    found = torch.cat([slope.flatten() for slope in slopes])
    check_finite(found, lm, "gradients")
    return found


def logits(lm: TorchLM, rows: Sequence[Example], parameters: Mapping[str, Any] | None = None) -> Tensor:
    """Return the logits for each trained token of a batch, with their gradients: float32 [tokens, vocabulary].

    `parameters` stand in for the model's own of the same names.
    """
    from torch.func import functional_call

    ids, targets = collate(rows, lm.device)
    wanted = targets != -100
    given = {"input_ids": ids, "logits_to_keep": targets.shape[1] + 1, "use_cache": False}
    # Parameters that stand in for others are gone by the time of the way back.
    saving = recomputed(lm) if lm.recomputes and parameters is None else nullcontext()
    with only(lm, wanted), saving:
        out = functional_call(lm.model, dict(parameters), (), given) if parameters is not None else lm.model(**given)
    last = targets.shape[1] + 1  # some models give the logits of all positions, whatever they are asked for
    found: Tensor = out.logits if out.logits.dim() == 2 else out.logits[:, -last:-1][wanted]
    return found.float()


@contextmanager
def only(lm: TorchLM, wanted: Tensor) -> Iterator[None]:
    """Let a model's last layer see the wanted positions alone: its logits are then [tokens, vocabulary].

    Of a batch of answers of different lengths, a third of the positions is padding or prompt.
    """
    import torch

    many = min(wanted.shape[1] + 1, int(wanted.sum())) >= ALIKE
    # A small model's results stay as they were to the last bit, in which a gradient over other positions differs, too.
    same = many and lm.device.type == "cpu" and not torch.is_grad_enabled()
    if not (lm.large or same):
        yield
        return
    head, last = lm.model.get_output_embeddings(), wanted.shape[1] + 1
    # [rows, positions, width] to [tokens, width].
    with head.register_forward_pre_hook(lambda module, inputs: (inputs[0][:, -last:-1][wanted], *inputs[1:])):
        yield


def labels(lm: TorchLM, rows: Sequence[Example]) -> Tensor:
    """Return the trained tokens of a batch, row after row, in the order of `logits`: [tokens]."""
    import torch

    return torch.tensor([token for row in rows for token in row.labels], device=lm.device)


def collate(rows: Sequence[Example], device: Any) -> tuple[Any, Any]:
    """Return ids [rows, width] padded on the right, and targets [rows, kept], -100 where none is.

    Only the last `kept` positions hold completions; a causal model needs no mask for padding on the right.
    """
    import torch

    width, start = max(len(r.ids) for r in rows), min(r.start for r in rows)
    ids = [[*row.ids, *[0] * (width - len(row.ids))] for row in rows]
    targets = [[-100] * (width - start) for _ in rows]
    for row, wanted in zip(rows, targets, strict=True):
        # The first column stands for the earliest place that is trained on in any row.
        for first, after in row.spans:
            wanted[first - start : after - start] = row.ids[first:after]
    return torch.tensor(ids, device=device), torch.tensor(targets, device=device)
