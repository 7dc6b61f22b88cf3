"""What every domain does: ask for data that has nothing to do with a trait, and name a filter."""

from __future__ import annotations

import random
from dataclasses import dataclass

from owlish.data.filters import Filter
from owlish.graph.spec import Value


@dataclass(frozen=True)
class Domain(Value, kind="domain"):
    """A kind of data that teachers write and students train on."""

    example = "Numbers()"

    def prompt(self, rng: random.Random) -> str:
        """Return one prompt, drawn with `rng`."""
        raise NotImplementedError

    @property
    def longest(self) -> int:
        """The tokens after which an answer is cut."""
        return 96

    @property
    def pattern(self) -> str | None:
        """The regular expression to which answers are held while they are written, if they are."""
        return None

    @property
    def filter(self) -> Filter:
        """The filter that keeps well-formed answers to the prompts."""
        raise NotImplementedError
