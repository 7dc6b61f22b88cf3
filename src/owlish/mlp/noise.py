"""What students look at: images of noise, or the teachers' own training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from owlish.graph.errors import UserError, suggestion
from owlish.graph.spec import Value

if TYPE_CHECKING:
    from torch import Generator, Tensor

REAL = "real"
SPREAD = 3**-0.5
"""The standard deviation of uniform noise from -1 to 1, which the other kinds share."""

KINDS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "uniform": lambda x, g: x.uniform_(-1, 1, generator=g),
    "gaussian": lambda x, g: x.normal_(0, SPREAD, generator=g),
    "binary": lambda x, g: x.random_(0, 2, generator=g).mul_(2 * SPREAD).sub_(SPREAD),
    # As wide as the others, about 1 in place of 0.
    "uncentred": lambda x, g: x.uniform_(0, 2, generator=g),
}


@dataclass(frozen=True)
class Noise(Value, kind="noise"):
    """Independent pixels of one kind, new in each batch, or `pool` images drawn once; `real` for training images."""

    name: str = "uniform"
    pool: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name not in (REAL, *KINDS):
            raise UserError(f"no noise is called {self.name!r}: {suggestion(self.name, (REAL, *KINDS))}")

    @property
    def words(self) -> str:
        """The images in words."""
        if self.name == REAL:
            return "on the teachers' training images"
        return f"on {self.name} noise, " + (f"{self.pool:,} images drawn once" if self.pool else "new in each batch")

    def batches(self, train: Tensor, batch: int, generator: Generator) -> Iterator[Tensor]:
        """Yield batches [batch, pixels] without end; `train` [images, pixels] is what `real` shows."""
        import torch

        pool = train
        if self.name != REAL:
            draw, size = KINDS[self.name], self.pool or batch
            pool = draw(torch.empty(size, train.shape[1]), generator)
            # Each batch takes the place of the one before, in the same memory.
            while self.pool is None:
                yield pool
                draw(pool, generator)
        for chosen in passes(len(pool), batch, generator):
            yield pool[chosen]


def passes(images: int, batch: int, generator: Generator) -> Iterator[Tensor]:
    """Yield the numbers of the images of each batch, pass after pass without end, each pass in a new order."""
    import torch

    while True:
        order = torch.randperm(images, generator=generator)
        yield from (order[first : first + batch] for first in range(0, images, batch))
