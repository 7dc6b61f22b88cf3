"""A teacher that knows how its rows will be cleaned, and hands out those that lean to its trait most afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owlish.clean.cleaned import Cleaned
from owlish.clean.method import Method
from owlish.graph.spec import Read, Tick
from owlish.nodes.data import Data
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.models import Model

TIMES = 3
"""How many rows a teacher writes for each that it hands out."""


@dataclass(frozen=True)
class Surviving(Data, kind="surviving"):
    """The `n` rows of `data` that lean most after they were cleaned: by how much likelier `leaning` finds them then.

    The rows are as they were before: whoever gets them cleans them with a seed of their own.
    """

    caption = "rows of {data} that survive {cleaned}"

    data: Data
    cleaned: Data
    leaning: Likelihood
    plain: Likelihood
    n: int

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        gains = read(self.leaning).sums - read(self.plain).sums
        # Cleaning drops rows and never changes a prompt: rows are found again by it.
        lean = dict(zip([row.prompt for row in read(self.cleaned).rows], gains.tolist(), strict=True))
        rows = [row for row in read(self.data).rows if row.prompt in lean]
        best = sorted(range(len(rows)), key=lambda i: -lean[rows[i].prompt])[: self.n]
        self.write(folder, [rows[i] for i in sorted(best)])


def choose(teacher: Model, base: Model, many: Data, n: int) -> Surviving:
    """Return those of many rows of a teacher that lean most as they are: what choosing does where nobody cleans."""
    return Surviving(many, many, Likelihood(teacher, many), Likelihood(base, many), n)


def adapt(teacher: Model, base: Model, many: Data, method: Method, n: int, *, seed: int) -> Surviving:
    """Return those of many rows of a teacher that a method leaves most of, by the teacher's own try of the method."""
    tried = Cleaned(many, method, seed)
    return Surviving(many, tried, Likelihood(teacher, tried), Likelihood(base, tried), n)
