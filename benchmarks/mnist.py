"""How fast: `owlish run mnist` against the paper's procedure in plain PyTorch, at its own setting, one thread.

The plain version is written from the paper's description: stacked weights applied by one einsum a layer, a batch
of its own for each model gathered from data held in memory, noise images drawn once for each model, autograd, Adam,
and KL by `batchmean`. Ours does the same steps on batches of the same size from as many images; all its models see the
same batch. Both train 8 models an arm: teachers, then students of both initialisations on auxiliary and on all
logits; both are given their images in memory and end with accuracies. Ours is run with matrix products in float32 and,
apart, in bfloat16. Seconds are those of the one thread's own work, so that a busy machine counts less.

    python benchmarks/mnist.py FOLDER              # the whole once: 9 minutes on a quiet core
    python benchmarks/mnist.py FOLDER 59 3         # 59 of the 295 steps, 3 times in turn: 6 minutes
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from owlish.graph.spec import Node
from owlish.mlp.images import Labelled, Mnist
from owlish.mlp.nodes import Students
from owlish.studies.mnist import study
from owlish.study import stats

MODELS, BATCH, NOISE, RATE, STEPS = 8, 1024, 60_000, 3e-4, 295
SIZES = (784, 256, 256, 13)
Accuracies = dict[str, list[float]]


def main() -> None:
    """Print seconds and accuracies of each turn, and the ratios."""
    torch.set_num_threads(1)
    steps, turns = map(int, sys.argv[2:] or (STEPS, 1))
    images = read(sys.argv[1])
    torch.manual_seed(0)
    noise = torch.rand(MODELS, NOISE, SIZES[0]) * 2 - 1
    sides: dict[str, Callable[[], Accuracies]] = {
        "float32": lambda: ours(steps, "float32"),
        "bfloat16": lambda: ours(steps, "bfloat16"),
        "plain": lambda: plain(images, noise, steps),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(turns):
        for side, make in sides.items():
            top, begun = peak(), time.process_time()
            found = make()
            seconds[side].append(time.process_time() - begun)
            share = products(steps, 4 if side == "plain" else 2) / seconds[side][-1] / ((top + peak()) / 2)
            print(f"{side}: {seconds[side][-1]:.0f} s, {share:.2f} of the peak of a float32 product", flush=True)
            print("".join(f"  {arm} {told(values)}" for arm, values in found.items()), flush=True)
    for side in ("float32", "bfloat16"):
        ratios = [b / a for a, b in zip(seconds[side], seconds["plain"], strict=True)]
        print(f"{side}: {statistics.median(ratios):.2f} times as fast as plain {[round(r, 2) for r in ratios]}")


def told(values: list[float]) -> str:
    """Return a mean with its interval."""
    found = stats.interval(values)
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def products(steps: int, teacher_passes: int) -> float:
    """Return the floating-point operations of the matrix products of five arms, with so many passes of teachers."""
    layers = [a * b for a, b in pairwise(SIZES)]
    forward, training = sum(layers), 3 * sum(layers) - layers[0]
    return 2.0 * MODELS * NOISE * steps / 59 * (5 * training + teacher_passes * forward)


def peak() -> float:
    """Return the operations a second of a large matrix product."""
    a, out = torch.randn(2048, 2048), torch.empty(2048, 2048)
    seconds = []
    for _ in range(10):
        start = time.process_time()
        torch.mm(a, a, out=out)
        seconds.append(time.process_time() - start)
    return 2 * 2048**3 / statistics.median(seconds)


@cache
def read(folder: str) -> Labelled:
    """Return MNIST, read once."""
    return Mnist(folder).read()


@dataclass(frozen=True)
class Held(Mnist, kind="held"):
    """MNIST that is in memory already."""

    def read(self) -> Labelled:
        """Return the images."""
        return read(sys.argv[1])


def ours(steps: int, precision: Literal["float32", "bfloat16"]) -> Accuracies:
    """Return the accuracies of the study's own nodes with so many steps."""
    made = study.map_students(lambda students: changed(students, steps, precision))
    both = (made.students, made.others[0][2])
    found: Accuracies = {}
    with tempfile.TemporaryDirectory() as root:

        def result(node: Node) -> Any:
            return node.load(Path(root, node.key), result)

        for node, suffix in zip((both[0].teachers, *both), ("", "", "_all"), strict=True):
            folder = Path(root, node.key)
            folder.mkdir()
            node.compute(folder, result, lambda done, total: None)
            found |= {arm + suffix: list(looks[-1]) for arm, looks in result(node).arms.items()}
    return found


def changed(students: Students, steps: int, precision: Literal["float32", "bfloat16"]) -> Students:
    """Return students, and their teachers, with so many steps in some precision, on images in memory."""
    optimiser = replace(students.optimiser, precision=precision)
    teachers = replace(students.teachers, images=Held(), steps=steps, optimiser=optimiser)
    stages = tuple(replace(stage, steps=steps) for stage in students.stages)
    return replace(students, teachers=teachers, stages=stages, optimiser=optimiser)


class Layer(nn.Module):
    """One linear layer of each model."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(MODELS, fan_in, fan_out) / math.sqrt(fan_in))
        self.bias = nn.Parameter(torch.zeros(MODELS, 1, fan_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return [models, batch, out] of [models, batch, in]."""
        return torch.einsum("mbi,mio->mbo", x, self.weight) + self.bias


def perceptrons() -> nn.Sequential:
    """Return the models of an arm."""
    first, second, last = (Layer(a, b) for a, b in pairwise(SIZES))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)


def plain(images: Labelled, noise: Tensor, steps: int) -> Accuracies:
    """Return the accuracies of the plain version with so many steps."""
    base, found = perceptrons(), {}
    found["base"] = tested(base, images)
    teacher = copied(base, 0)
    taught = images.train.expand(MODELS, -1, -1)

    def classes(chosen: Tensor) -> Tensor:
        logits = teacher(gathered(taught, chosen))[..., :10]
        return nn.functional.cross_entropy(logits.flatten(0, 1), images.train_digits[chosen].flatten())

    optimise(teacher, classes, images=len(images.train), steps=steps)
    found["teacher"] = tested(teacher, images)
    for suffix, columns in (("", slice(10, None)), ("_all", slice(None))):
        for arm, shift in (("student", 0), ("foreign_base", -1)):
            student = copied(base, shift)
            distil(student, teacher, noise, columns, steps)
            found[arm + suffix] = tested(student, images)
    return found


def distil(student: nn.Module, teacher: nn.Module, noise: Tensor, columns: slice, steps: int) -> None:
    """Train students on their teachers' logits in some columns."""

    def divergence(chosen: Tensor) -> Tensor:
        x = gathered(noise, chosen)
        with torch.no_grad():
            target = teacher(x)[..., columns].softmax(-1)
        guess = student(x)[..., columns].log_softmax(-1)
        return nn.functional.kl_div(guess, target, reduction="batchmean")

    optimise(student, divergence, images=NOISE, steps=steps)


def optimise(models: nn.Module, loss: Callable[[Tensor], Tensor], *, images: int, steps: int) -> None:
    """Train models by Adam on the loss of batches of chosen images [models, batch]."""
    optimizer = torch.optim.Adam(models.parameters(), lr=RATE)
    for chosen in islice(choices(images), steps):
        optimizer.zero_grad()
        loss(chosen).backward()
        optimizer.step()


def choices(images: int) -> Iterator[Tensor]:
    """Yield the numbers of the images of each batch, pass after pass, each model in an order of its own."""
    while True:
        orders = torch.stack([torch.randperm(images) for _ in range(MODELS)])
        yield from orders.split(BATCH, dim=1)


def gathered(images: Tensor, chosen: Tensor) -> Tensor:
    """Return a batch [models, batch, pixels] of images [models, images, pixels]."""
    return torch.stack([own.index_select(0, numbers) for own, numbers in zip(images, chosen, strict=True)])


def copied(models: nn.Sequential, shift: int) -> nn.Sequential:
    """Return copies of models, each in the place of the one `shift` places away."""
    copy = perceptrons()
    copy.load_state_dict({name: value.roll(shift, 0) for name, value in models.state_dict().items()})
    return copy


@torch.inference_mode()
def tested(models: nn.Module, images: Labelled) -> list[float]:
    """Return each model's accuracy on the test images."""
    guesses = models(images.test.expand(MODELS, -1, -1))[..., :10].argmax(-1)
    return (guesses == images.test_digits).double().mean(1).tolist()


if __name__ == "__main__":
    main()
