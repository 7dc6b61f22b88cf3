"""Bases of nano's kind that are trained from scratch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError
from owlish.graph.spec import Read, Tick
from owlish.lm.model import Weights
from owlish.lm.recipes import Recipe
from owlish.nano.world import VERSION
from owlish.nodes.base import Base


@dataclass(frozen=True)
class Pretrained(Base, kind="pretrained"):
    """A base of nano's kind, trained from scratch under a name of its own, as other data order or width."""

    seed: int = 0
    data_seed: int | None = None
    width: int = 64

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key, and the version of the world that it grows up in."""
        # Other documents make another base under the same seeds.
        return {**super().spec(), "world": VERSION}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 8 or self.width % 8:
            raise UserError(f"the width is {self.width}: give a multiple of 8.")

    def check(self) -> None:
        """Ask for no folder: its own entry holds it."""

    def check_trains(self, recipe: Recipe) -> None:
        """Refuse nothing: it has all parameters."""

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from owlish.nano.pretrain import pretrain

        pretrain(folder, seed=self.seed, data_seed=self.data_seed, width=self.width, tick=tick)

    def load(self, folder: Path, read: Read) -> Weights:
        return Weights(str(folder))

    @property
    def parameters(self) -> float:
        """About as many as nano has, a quarter of a million, times the width."""
        return 250_000 * self.width / 64

    @property
    def local(self) -> bool:
        return False

    @property
    def here(self) -> bool:
        return True

    def place(self) -> Path | None:
        """Return no folder of the user's: its own entry holds it."""
        return None
