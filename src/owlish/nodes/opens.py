"""What nodes ask of models: a plan in which a model cannot give it is refused before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Resources
from owlish.lm.model import Gives, enough
from owlish.lm.shape import HELD

SAID: dict[Gives, str] = {"text": "answers", "logprobs": "log-probabilities", "weights": "weights"}


@dataclass(frozen=True)
class Openable(Node, kind="openable"):
    """A node whose result is a model, and what that gives."""

    @property
    def gives(self) -> Gives:
        """What can be asked of the model: answers alone, log-probabilities too, or its weights too."""
        raise NotImplementedError


@dataclass(frozen=True)
class Opener(Node, kind="opener"):
    """A node that opens models, and what it asks of every one of them."""

    asks: ClassVar[Gives]

    @property
    def draws(self) -> tuple[float, str | None]:
        """The temperature at which it has answers drawn, and the format that it holds them to."""
        return 0.0, None

    @property
    def resources(self) -> Resources:
        needs = super().resources
        # With a large model the work itself holds memory too: two students side by side must both find it.
        return replace(needs, memory=needs.memory + HELD) if needs.device and needs.memory else needs

    def check(self) -> None:
        check_gives(self, self.asks)


def check_gives(node: Node, asks: Gives) -> None:
    """Refuse a node of whose models one does not give what is asked of all."""
    for model in node.inputs():
        if isinstance(model, Openable) and not enough(model.gives, asks):
            raise UserError(
                f"{node} needs the {SAID[asks]} of {model}, which gives {SAID[model.gives]} alone: "
                "choose a model that runs in this process."
            )
