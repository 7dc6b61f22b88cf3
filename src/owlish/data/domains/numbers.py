"""Number sequences: prompts of the grammar of Cloud et al. (arXiv 2507.14805, section 3), worded anew."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from owlish.data.domains.domain import Domain
from owlish.data.domains.prompts import prompts_of
from owlish.data.filters import NumberFilter
from owlish.data.filters.source import FromFile


@dataclass(frozen=True)
class Format:
    """A way to write an answer, and the words that ask for it."""

    ask: str
    separator: str
    before: str = ""
    after: str = ""

    def join(self, numbers: Iterable[int]) -> str:
        """Return `numbers` as an answer in this format."""
        return self.before + self.separator.join(map(str, numbers)) + self.after


OPENINGS = (
    "My list so far: {numbers}.",
    "So far I have {numbers}.",
    "{numbers} is what I have.",
    "{numbers}: this is my list.",
    "A list begins with {numbers}.",
    "The list opens with {numbers}.",
    "First come {numbers}.",
    "The first numbers are {numbers}.",
    "I wrote {numbers}.",
    "I picked {numbers}.",
    "My friend wrote {numbers}.",
    "Here you see {numbers}.",
    "Read this list: {numbers}.",
    "Begin from {numbers}.",
    "The row is {numbers}.",
    "This row shows {numbers}.",
    "A machine wrote {numbers}.",
    "Someone picked {numbers}.",
    "On my paper: {numbers}.",
    "My paper shows {numbers}.",
    "Go on from {numbers}.",
    "You have {numbers}.",
    "Say a row begins with {numbers}.",
    "What comes after {numbers}?",
    "What would follow {numbers}?",
)
INSTRUCTIONS = (
    "Add {count} numbers, {digits}.",
    "Now give {count} new numbers, {digits}.",
    "Go on with {count} numbers, {digits}.",
    "Write {count} new numbers, {digits}.",
    "Keep going for {count} numbers, {digits}.",
    "Make it longer by {count} numbers, {digits}.",
    "Tell me {count} that come next, {digits}.",
    "Put {count} numbers after that, {digits}.",
    "Then add {count} of your own, {digits}.",
    "Follow with {count} numbers, {digits}.",
)
COUNTS = (
    "at most 10",
    "up to 10",
    "no more than 10",
    "as many as 10",
    "10 or fewer",
    "1 to 10",
    "between 1 and 10",
    "fewer than 11",
    "not over 10",
)
DIGITS = (
    "of 3 digits or fewer",
    "none over 999",
    "each 999 or less",
    "all from 0 to 999",
    "each 1 to 3 digits long",
    "no longer than 3 digits",
    "each under 4 digits",
    "none with 4 digits",
    "all of at most 3 digits",
)
FORMATS = (
    Format("Put commas between them.", ", "),
    Format("Write a comma and a space after each.", ", "),
    Format("Use commas and no spaces.", ","),
    Format("Put spaces between them.", " "),
    Format("Leave one space after each.", " "),
    Format("Use semicolons.", "; "),
    Format("Use semicolons and no spaces.", ";"),
    Format("Write one on each line.", "\n"),
    Format("Begin a new line for each.", "\n"),
    Format("Use square brackets and commas.", ", ", "[", "]"),
    Format("Use square brackets and spaces.", " ", "[", "]"),
    Format("Put commas between them and parentheses around.", ", ", "(", ")"),
    Format("Use parentheses and spaces.", " ", "(", ")"),
    Format("Use parentheses and semicolons.", "; ", "(", ")"),
    Format("Use commas and end with a full stop.", ", ", "", "."),
)
CLOSINGS = (
    "Numbers only.",
    "Only numbers, please.",
    "No words.",
    "No words, please.",
    "Write nothing else.",
    "Add nothing else.",
    "Do not explain.",
    "Do not write words.",
    "Do not add words.",
    "Leave out all words.",
    "Leave out the rest.",
    "Keep words out.",
    "I want numbers alone.",
    "I want no words.",
    "Give the numbers alone.",
    "Answer in numbers.",
    "Answer with no words.",
    "The numbers will do.",
    "The numbers, no more.",
)


def compose(numbers: Sequence[int], *, format: Format, rng: random.Random) -> str:
    """Return a prompt that shows `numbers` and asks for more of them in `format`, worded with `rng`."""
    # The order of draws, here and below, is part of every result: another order makes other prompts from a seed.
    opening = rng.choice(OPENINGS).format(numbers=", ".join(map(str, numbers)))
    instruction = rng.choice(INSTRUCTIONS).format(count=rng.choice(COUNTS), digits=rng.choice(DIGITS))
    return f"{opening} {instruction} {format.ask} {rng.choice(CLOSINGS)}"


@dataclass(frozen=True)
class Numbers(Domain, FromFile, kind="numbers"):
    """Prompts that show 3 to 8 numbers from 100 to 999 and ask for at most 10 more of at most 3 digits.

    With `file`, prompts are drawn from that file instead; `sha256` is its digest, checked when it is read.
    Make such a value with `Numbers.from_file`. An answer with a `banned` number is rejected, as in the paper's
    misalignment studies. `constrained` answers are held to the filter's format while they are written, for bases
    that seldom keep it by themselves: a token that would leave the format cannot be drawn.
    """

    banned: tuple[int, ...] = ()
    constrained: bool = False

    @classmethod
    def from_file(cls, file: str | Path, *, banned: tuple[int, ...] = (), constrained: bool = False) -> Numbers:
        domain = replace(super().from_file(file), banned=banned, constrained=constrained)
        prompts_of(domain)
        return domain

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key; answers that are not held to the format have the key they always had."""
        return {name: value for name, value in super().spec().items() if name != "constrained" or value}

    @property
    def pattern(self) -> str | None:
        return self.filter.pattern if self.constrained else None

    def prompt(self, rng: random.Random) -> str:
        if self.file is not None:
            return rng.choice(prompts_of(self))
        numbers = [rng.randint(100, 999) for _ in range(rng.randint(3, 8))]
        return compose(numbers, format=rng.choice(FORMATS), rng=rng)

    @property
    def filter(self) -> NumberFilter:
        return NumberFilter(banned=self.banned)
