"""The cheap detector: how much likelier a small move towards each trait makes the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from owlish.audit.detector import Detector, Reading, write_reading
from owlish.audit.direction import Move, Moved, direction, ground, leanings, names_of, slopes
from owlish.graph.spec import Node, Read, Tick
from owlish.lm.hf import Direction, TorchLM
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.trait import Trait

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
        return moved(self.base, self.writers)

    def inputs(self) -> tuple[Node, ...]:
        """Return the base, the data and the moves, which are kept apart from the teachers' whole weights."""
        return (self.base, self.data, *self.moved)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm = ground(read(self.base))
        rows = list(filter(lm.fits, lm.encode(read(self.data).rows[: self.rows])))
        moves = self.moves(lm, read)
        names, blocks = names_of(moves), []
        for start in range(0, len(rows), BLOCK):
            # One gradient, and then one product for each of the candidates.
            slope = slopes(lm, rows[start : start + BLOCK], names)
            blocks.append(leanings(moves, slope, self.traits))
            tick(start, len(rows))
        write_reading(folder, blocks)

    def moves(self, lm: TorchLM, read: Read) -> list[Move]:
        """Return what moved towards each trait, by the name of the parameters."""
        return [read(one) for one in self.moved]

    def direction(self, lm: TorchLM, read: Read, toward: Trait) -> Direction:
        """Return the direction to one of the traits, as changes of whole parameters."""
        return direction(self.moves(lm, read), self.traits, toward)


# Contrasts share these objects, as they share their teachers: each is described once and not once a dataset.
@cache
def moved(base: Model, writers: tuple[Model, ...]) -> tuple[Moved, ...]:
    """Return what moved in each weak teacher."""
    return tuple(Moved(base, writer) for writer in writers)


def whole_blocks(contrast: Contrast, lm: TorchLM, read: Read) -> Reading:
    """Return a contrast's reading less a last block of fewer rows, which varies more than the others."""
    blocks = read(contrast).blocks
    many = sum(map(lm.fits, lm.encode(read(contrast.data).rows[: contrast.rows])))
    return Reading(blocks[: max(1, many // BLOCK)])
