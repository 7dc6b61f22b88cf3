"""What every reading does: look at one model. The same reading of the base and of null students is its measure."""

from __future__ import annotations

from dataclasses import dataclass

from owlish.nodes.models import Model
from owlish.nodes.opens import Opener


@dataclass(frozen=True)
class Reading(Opener, kind="reading"):
    """A look at `model`. `basis` says whether it depends on the basis in which the model's weights happen to lie."""

    basis = False

    model: Model
