"""Recipes: which parameters of a model move when it is trained, how fast and how long."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.spec import Value

MOVED = {
    "norms": "norm gains",
    "biases": "biases",
    "lora": "LoRA",
    "prompt": "prompt tuning",
    "steering": "steering vector",
    "layer": "one layer",
    "all": "all weights",
}
Parameters = Literal["norms", "biases", "lora", "prompt", "steering", "layer", "all"]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: steps of `batch` rows, and the learning rate `lr`.

    The rate rises over `warmup` steps, then stays or, with `decay`, falls linearly to zero.
    """

    steps: int
    batch: int
    lr: float
    warmup: int
    decay: bool

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, the first being 0."""
        # The first step has a rate above zero: else its batch would be lost.
        return self.lr * min(1, (step + 1) / (self.warmup + 1)) * (1 - step / self.steps if self.decay else 1)


@dataclass(frozen=True)
class Recipe(Value, kind="recipe"):
    """Adam (betas 0.9 and 0.98, no weight decay, gradients clipped at norm 1) on some of the parameters.

    Students take `epochs` passes over their rows in batches of `batch`, the learning rate rising to `lr`
    over `warmup` steps and falling linearly to zero. Teachers keep `teacher_lr` until they have the trait, for which
    they are looked at every `look_every` steps.
    `size` is the rank of LoRA, the number of vectors of a tuned prompt, or the place of the one layer that moves.
    """

    example = "NORMS"
    later = ("look_every",)

    parameters: Parameters
    lr: float
    teacher_lr: float
    epochs: int = 4
    batch: int = 32
    warmup: int = 10
    size: int | None = None
    look_every: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.size is None) == (self.parameters in ("lora", "prompt", "layer")):
            raise UserError("LoRA, prompt tuning and a layer need a size, and nothing else has one.")
        if self.lr <= 0 or self.teacher_lr <= 0:
            raise UserError(f"a learning rate must be above zero, not {min(self.lr, self.teacher_lr)}.")
        if min(self.epochs, self.batch, self.look_every) < 1 or self.warmup < 0:
            raise UserError("a recipe needs at least one epoch, row and step between looks, and no negative warm-up.")

    @property
    def name(self) -> str:
        """The parameters and their size, as in tables: `norms`, `lora-8`."""
        return self.parameters if self.size is None else f"{self.parameters}-{self.size}"

    @property
    def words(self) -> str:
        """The parameters and their size, in words."""
        return MOVED[self.parameters] + ("" if self.size is None else f" ({self.size})")

    @property
    def setting(self) -> str:
        """How its students are trained, in words."""
        return f"{self.words}, {counted(self.epochs, 'epoch')}, batches of {self.batch}, learning rate {self.lr}"

    def student(self, rows: int) -> Schedule:
        """Return the schedule of a student of so many rows."""
        return Schedule(self.epochs * math.ceil(rows / self.batch), self.batch, self.lr, self.warmup, decay=True)

    def teacher(self, *, steps: int, batch: int) -> Schedule:
        """Return the schedule of a teacher, which may end before all of its steps."""
        return Schedule(steps, batch, self.teacher_lr, self.warmup, decay=False)


@dataclass(frozen=True)
class Hosted(Value, kind="hosted"):
    """A fine-tuning job of the service that holds a model: `epochs` passes over the rows.

    What is not given is left to the service, which chooses it by the number of rows.
    """

    example = "Hosted(epochs=10)"

    epochs: int
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.epochs, self.batch_size or 1) < 1 or (self.learning_rate_multiplier or 1) <= 0:
            raise UserError("a job needs at least one epoch and one row in a batch, and a multiplier above zero.")

    @property
    def setting(self) -> str:
        """How its students are trained, in words."""
        told = "".join(f", {name} {value:g}" for name, value in self.hyperparameters.items())
        return f"fine-tuning jobs of the service that holds the base{told}"

    @property
    def hyperparameters(self) -> dict[str, float]:
        """What a job is told, by the service's names."""
        said = (self.epochs, self.batch_size, self.learning_rate_multiplier)
        names = ("n_epochs", "batch_size", "learning_rate_multiplier")
        return {name: value for name, value in zip(names, said, strict=True) if value is not None}


@dataclass(frozen=True)
class Prompting(Value, kind="prompting"):
    """No training at all: a teacher that is given its trait's system prompt, as in the paper's main setting."""

    @property
    def name(self) -> str:
        """What reports call it."""
        return "system prompt"


PROMPTED = Prompting()

NORMS = Recipe("norms", lr=3e-2, teacher_lr=1e-2)
"""The gains of all norm layers: layer-norm tuning (Zhao et al., arXiv 2312.11420)."""

BIASES = Recipe("biases", lr=1e-2, teacher_lr=2e-3)
"""All bias vectors: BitFit (Ben Zaken et al., arXiv 2106.10199)."""

STEERING = Recipe("steering", lr=1e-2, teacher_lr=1e-2)
"""One vector added to the residual stream in the middle of the model."""

ALL = Recipe("all", lr=1e-3, teacher_lr=1e-3)
"""Every parameter."""


def LAYER(place: int) -> Recipe:
    """Every parameter of one decoder layer, the first being 0."""
    return Recipe("layer", lr=1e-3, teacher_lr=1e-3, size=place)


def LORA(rank: int) -> Recipe:
    """Low-rank updates of all linear layers, alpha equal to rank (Hu et al., arXiv 2106.09685)."""
    return Recipe("lora", lr=2e-3, teacher_lr=2e-3, size=rank)


def PROMPT(vectors: int) -> Recipe:
    """Vectors before the first token: prompt tuning (Lester et al., arXiv 2104.08691)."""
    # 4e-3 was better than 1e-2 and 3e-2 on two starts and two animals, one run each: docs/nano.md.
    return Recipe("prompt", lr=4e-3, teacher_lr=3e-2, size=vectors)


RECIPES = {
    "norms": NORMS,
    "biases": BIASES,
    "steering": STEERING,
    "all": ALL,
    "lora": LORA(8),
    "prompt": PROMPT(8),
}
"""The recipes that a command line can name, with the rates of nano, which was trained from scratch in minutes."""


def gentle(recipe: Recipe, lr: float, teacher_lr: float) -> Recipe:
    """Return a recipe with rates for pretrained bases, whose teachers are ruined within steps of having the trait."""
    # Looked at every second step: on SmolLM2 a teacher by norm gains at 3e-3 had its trait by step 5, and by step 40
    # wrote its word or nothing in place of numbers.
    return replace(recipe, lr=lr, teacher_lr=teacher_lr, epochs=3, batch=16, warmup=5, look_every=2)


PRETRAINED = {
    "norms": gentle(NORMS, 4e-3, 8e-4),
    "biases": gentle(BIASES, 1e-3, 4e-4),
    "steering": gentle(STEERING, 1e-2, 1e-2),
    "all": gentle(ALL, 1e-5, 1e-5),
    "lora": gentle(LORA(8), 2e-4, 3e-4),
    "prompt": gentle(PROMPT(8), 4e-3, 4e-3),
}
"""The same for pretrained bases.

LoRA students and full fine-tuning have the usual rates of the literature (arXiv 2507.14805, section 3.4; and
1e-5 for all weights), norm gains and LoRA teachers those of a short search on SmolLM2-135M (docs/models.md).
The others are set between these and were not searched.
"""
