"""What the tokens of rows weigh, and the two models whose difference it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from owlish.graph.spec import Node, Value
from owlish.nodes.models import Model


class Weighed(Protocol):
    """How much each trained token of each row speaks for a trait, in nats; none for a row that was left out."""

    @property
    def tokens(self) -> Sequence[Sequence[float]]: ...


@dataclass(frozen=True)
class Weighing(Value, kind="weighing"):
    """A node whose result is `Weighed`, and two models that differ in what weighs: `leaning` has more than `plain`."""

    tokens: Node
    plain: Model
    leaning: Model

    def __str__(self) -> str:
        return str(self.tokens)
