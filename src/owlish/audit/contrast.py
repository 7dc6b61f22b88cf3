"""The cheap detector: how much likelier a small move towards each trait makes the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from owlish.audit.detector import Detector, Reading, write_reading
from owlish.audit.direction import Moved, centre, ground
from owlish.graph.spec import Node, Read, Tick
from owlish.lm.hf import Direction, TorchLM
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener

BLOCK = 20  # means of blocks are nearer to normal than rows, as the tests suppose


@dataclass(frozen=True)
class Contrast(Detector, Opener, kind="contrast"):
    """The gradient of the rows' log-likelihood at the base, along a direction for each trait, in nats per row.

    Needs: gradients, and a recipe that moves weights of the base itself, or a steering vector. A direction is what
    moved in a weak teacher (`writers`, in the order of `traits`), less the mean over the category. The gradient is
    taken once for each block of 20 rows, whatever the number of traits: it is the difference of log-likelihood
    between a step along the direction and a step against it, halved, to first order.
    """

    caption = "contrast of {data}"
    asks = "weights"
    usual, usual_row = 0.2, 0.004

    writers: tuple[Model, ...]
    rows: int

    @property
    def most_rows(self) -> int:
        return self.rows

    @cached_property
    def moved(self) -> tuple[Moved, ...]:
        """What moved in each weak teacher."""
        return moves(self.base, self.writers)

    def inputs(self) -> tuple[Node, ...]:
        """Return the base, the data and the moves, which are kept apart from the teachers' whole weights."""
        return (self.base, self.data, *self.moved)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm = ground(read(self.base))
        rows = list(filter(lm.fits, lm.encode(read(self.data).rows[: self.rows])))
        directions = self.directions(lm, read)
        # Sorted: the order of a set changes from process to process, and a sum in another order in its last bit.
        names = sorted({name for direction in directions for name in direction})
        # [parameters] each: one gradient, and then one product for each of the candidates.
        flat = [join(direction, names, lm) for direction in directions]
        blocks = []
        for start in range(0, len(rows), BLOCK):
            gradient = lm.gradient(rows[start : start + BLOCK], names)
            blocks.append([float(gradient @ direction) for direction in flat])
            tick(start, len(rows))
        write_reading(folder, blocks)

    def directions(self, lm: TorchLM, read: Read) -> list[Direction]:
        """Return the directions, by the name of the parameters that they move."""
        return centre([read(one) for one in self.moved], self.traits)


# Contrasts share these objects, as they share their teachers: each is described once and not once a dataset.
@cache
def moves(base: Model, writers: tuple[Model, ...]) -> tuple[Moved, ...]:
    """Return what moved in each weak teacher."""
    return tuple(Moved(base, writer) for writer in writers)


def whole_blocks(contrast: Contrast, lm: TorchLM, read: Read) -> Reading:
    """Return a contrast's reading less a last block of fewer rows, which varies more than the others."""
    blocks = read(contrast).blocks
    many = sum(map(lm.fits, lm.encode(read(contrast.data).rows[: contrast.rows])))
    return Reading(blocks[: max(1, many // BLOCK)])


def join(direction: Direction, names: Sequence[str], lm: TorchLM) -> Any:
    """Return a direction as one vector over the parameters in `names`."""
    import torch

    old, zero = lm.parameters, torch.zeros((), device=lm.device)
    flat = (direction[n].to(zero.device) if n in direction else zero.expand_as(old[n]) for n in names)
    return torch.cat([change.flatten() for change in flat])
