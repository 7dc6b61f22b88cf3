"""Trial students of more rows than a pilot has: what a dose curve is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from owlish.audit.shadow import Shadow
from owlish.lm.recipes import Schedule


@dataclass(frozen=True)
class Longer(Shadow, kind="longer_shadow"):
    """A shadow of `times` the rows of a pilot, for as many times its steps."""

    times: int = 1

    @property
    def schedule(self) -> Schedule:
        """How long it is trained: each row is seen as often as in the pilot."""
        usual = super().schedule
        return replace(usual, steps=self.times * usual.steps, warmup=self.times * usual.warmup)
