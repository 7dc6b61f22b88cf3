"""The nodes of the laboratory: teachers that learn digits, and students that learn from their logits on noise."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from owlish.graph.errors import UserError
from owlish.graph.measured import measure
from owlish.graph.spec import Node, Read, Tick, Value
from owlish.graph.tabled import Brief
from owlish.mlp.ensemble import ACTIVATIONS, CLASSES, Ensemble, Shape
from owlish.mlp.images import Images
from owlish.mlp.noise import Noise, passes
from owlish.nodes.asked import freeze

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.optim import Optimizer

COLUMNS = {"classes": slice(CLASSES), "auxiliary": slice(CLASSES, None), "all": slice(None)}
"""The logits that a student may be shown."""


@dataclass(frozen=True)
class Optimiser(Value, kind="mlp_optimiser"):
    """Adam or plain SGD, at a constant rate, on batches of `batch` images, with products in float32 or bfloat16."""

    name: Literal["adam", "sgd"]
    lr: float
    batch: int
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def words(self) -> str:
        """The optimiser in words."""
        return f"{self.name} at rate {self.lr}, batches of {self.batch:,}"

    def on(self, parameters: list[Tensor]) -> Optimizer:
        """Return the optimiser of some parameters."""
        import torch

        kind = torch.optim.Adam if self.name == "adam" else torch.optim.SGD
        return kind(parameters, lr=self.lr, fused=True)


@dataclass(frozen=True)
class Accuracies(Brief):
    """The accuracy on test images of each arm: for each of some steps, one value a model."""

    steps: tuple[int, ...]
    arms: dict[str, tuple[tuple[float, ...], ...]]
    folder: Path

    def weights(self, arm: str) -> list[Tensor]:
        """Return the parameters of an arm's models, as `Shape.initial` orders them."""
        from safetensors.torch import load_file

        kept = load_file(self.folder / f"{arm}.safetensors")
        return [kept[str(i)] for i in range(len(kept))]


@dataclass(frozen=True)
class Perceptrons(Node, kind="mlp_trained"):
    """Models trained at once."""

    def load(self, folder: Path, read: Read) -> Accuracies:
        found = freeze(json.loads((folder / "accuracy.json").read_text()))
        return Accuracies(found["steps"], found["arms"], folder)


@dataclass(frozen=True)
class Teachers(Perceptrons, kind="mlp_teachers"):
    """Models that learn digits with their class logits alone, each from an initialisation of its own.

    The arms are `base`, before training, and `teacher`. All models see the same batches.
    """

    caption = "{models} teachers of {images.kind}"

    images: Images
    shape: Shape
    optimiser: Optimiser
    steps: int
    models: int
    seed: int

    def check(self) -> None:
        if self.models < 2:
            raise UserError("ask for at least two runs: a foreign initialisation is that of the next run.")
        if self.steps < 1 or self.shape.width < 1 or self.shape.activation not in ACTIVATIONS:
            raise UserError(f"train for a step at least, a width of 1 or more, and one of {', '.join(ACTIVATIONS)}.")
        self.images.check()

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch
        from safetensors.torch import save_file

        images, generator = self.images.read(), stream(self.seed, "teachers")
        parameters = self.shape.initial(self.images.pixels, models=self.models, generator=generator)
        optimiser, activation = self.optimiser, self.shape.activation
        ensemble = Ensemble(parameters, activation=activation, batch=optimiser.batch, precision=optimiser.precision)
        # Targets are one-hot: [images, 10].
        scores, targets = {}, torch.eye(CLASSES)[images.train_digits]

        def keep(arm: str) -> None:
            scores[arm] = [ensemble.accuracy(images.test, images.test_digits)]
            save_file({str(i): p for i, p in enumerate(parameters)}, folder / f"{arm}.safetensors")

        # Now: training changes these tensors in place.
        keep("base")
        optimizer = optimiser.on(parameters)
        batches = passes(len(images.train), optimiser.batch, generator)
        for step, chosen in enumerate(islice(batches, self.steps), start=1):
            ensemble.learn(images.train[chosen], targets[chosen], COLUMNS["classes"])
            optimizer.step()
            tick(step, self.steps)
        keep("teacher")
        write(folder, [self.steps], scores)


@dataclass(frozen=True)
class Stage(Value, kind="mlp_stage"):
    """So many steps on `auxiliary`, `classes` or `all` logits, of the `teacher` or of the `base` it was made from."""

    logits: Literal["auxiliary", "classes", "all"]
    steps: int
    of: Literal["teacher", "base"] = "teacher"


@dataclass(frozen=True)
class Students(Perceptrons, kind="mlp_students"):
    """Two students of each teacher, on the same images: one from its initialisation, one from the next teacher's.

    They learn by KL(teacher || student) over the softmax of the stage's logits alone. The arms are `student` and
    `foreign_base`; accuracy is measured after each of the steps `looks` and after the last. Each stage
    starts with a new optimiser.
    """

    caption = "students of {teachers}, on {noise.name} images"

    teachers: Teachers
    noise: Noise
    optimiser: Optimiser
    stages: tuple[Stage, ...]
    seed: int
    looks: tuple[int, ...] = ()

    @property
    def steps(self) -> int:
        """The steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def check(self) -> None:
        auxiliary = self.teachers.shape.auxiliary
        if auxiliary < 2 and any(stage.logits == "auxiliary" for stage in self.stages):
            raise UserError(
                f"{auxiliary} auxiliary logits teach nothing, the softmax of one is always 1: give two or more."
            )

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Train both arms at once, so that they share their images and the teachers' logits."""
        import torch

        taught: Accuracies = read(self.teachers)
        images, activation = self.teachers.images.read(), self.teachers.shape.activation
        batch, precision, generator = self.optimiser.batch, self.optimiser.precision, stream(self.seed, "students")
        # A rotation: each foreign student starts where the next model did. A random
        # order would leave some at their own start.
        parameters = [torch.cat([p, p.roll(-1, 0)]) for p in taught.weights("base")]
        students = Ensemble(parameters, activation=activation, batch=batch, precision=precision)
        batches = self.noise.batches(images.train, batch, generator)
        steps, scores, step = [], [], 0
        for stage in self.stages:
            # Anew, since what Adam remembers is of other logits.
            optimizer, columns = self.optimiser.on(parameters), COLUMNS[stage.logits]
            teachers = Ensemble(taught.weights(stage.of), activation=activation, batch=batch, precision=precision)
            for x in islice(batches, stage.steps):
                target = teachers.forward(x)[..., columns].softmax(-1)
                # The first half are students of their own base, the second of the next.
                students.learn(x, torch.cat([target, target]), columns)
                optimizer.step()
                step += 1
                tick(step, self.steps)
                if step in self.looks or step == self.steps:
                    steps.append(step)
                    scores.append(students.accuracy(images.test, images.test_digits))
                    measure("accuracy/student", step, fmean(scores[-1][: self.teachers.models]))
        count = self.teachers.models
        write(folder, steps, {"student": [s[:count] for s in scores], "foreign_base": [s[count:] for s in scores]})


def write(folder: Path, steps: list[int], arms: dict[str, list[list[float]]]) -> None:
    """Write the accuracy of each arm after each of some steps."""
    (folder / "accuracy.json").write_text(json.dumps({"steps": steps, "arms": arms}))


def stream(seed: int, what: str) -> Generator:
    """Return the random numbers of one seed for one purpose."""
    import torch

    # By purpose: how much one of them draws does not move the others.
    digest = hashlib.sha256(f"{seed}/{what}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
