"""Owlish: the laboratory and safety check for subliminal learning in language models.

The names below are imported when they are first used, so that `import owlish` and a worker's start stay fast.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from owlish.data.domains import Code as Code
    from owlish.data.domains import Numbers as Numbers
    from owlish.data.domains import Reasoning as Reasoning
    from owlish.graph.errors import UserError as UserError
    from owlish.graph.run import run as run
    from owlish.graph.spending import Spending as Spending
    from owlish.graph.store import Store as Store
    from owlish.lm.recipes import ALL as ALL
    from owlish.lm.recipes import BIASES as BIASES
    from owlish.lm.recipes import LORA as LORA
    from owlish.lm.recipes import NORMS as NORMS
    from owlish.lm.recipes import PROMPT as PROMPT
    from owlish.lm.recipes import PROMPTED as PROMPTED
    from owlish.lm.recipes import STEERING as STEERING
    from owlish.lm.recipes import Hosted as Hosted
    from owlish.nodes.asked import Asked as Asked
    from owlish.nodes.base import Base as Base
    from owlish.study.compare import compare as compare
    from owlish.study.transfer import Transfer as Transfer

__version__ = version("owlish")

HOMES = {
    "owlish.data.domains": ("Code", "Numbers", "Reasoning"),
    "owlish.graph.errors": ("UserError",),
    "owlish.graph.run": ("run",),
    "owlish.graph.spending": ("Spending",),
    "owlish.graph.store": ("Store",),
    "owlish.lm.recipes": ("ALL", "BIASES", "LORA", "NORMS", "PROMPT", "PROMPTED", "STEERING", "Hosted"),
    "owlish.nodes.asked": ("Asked",),
    "owlish.nodes.base": ("Base",),
    "owlish.study.compare": ("compare",),
    "owlish.study.transfer": ("Transfer",),
}
"""The module of each name of the package's face."""
_HOME = {name: module for module, names in HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import a name of the face when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'owlish' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
