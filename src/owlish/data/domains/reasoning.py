"""Word problems with a number for an answer: generated ones that nano knows, or those of a file such as GSM8K."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

from owlish.data.domains.domain import Domain
from owlish.data.domains.prompts import instruct, prompts_of
from owlish.data.filters import AnswerFilter
from owlish.data.filters.reasoning import answers_of
from owlish.data.filters.source import FromFile

NAMES = ("Tom", "Ana", "Leo", "Mia", "Sam", "Eva", "Max", "Zoe")
THINGS = ("apples", "pens", "books", "coins", "stones", "cards")
LARGEST = 5  # a base that cannot do its sums writes no right answers to keep
TAGS = "Think first, between <think> and </think>. Then write the final number alone, between <answer> and </answer>."
"""The instruction to the effect of the paper's (arXiv 2507.14805, section 4)."""


@dataclass(frozen=True)
class Problem:
    """Someone has `x` things, and gets `y` more or gives `y` away."""

    name: str
    things: str
    x: int
    y: int
    sign: str

    @property
    def question(self) -> str:
        """The story, and what it asks."""
        if self.sign == "+":
            end = f"gets {self.y} more. How many {self.things} does {self.name} have?"
        else:
            end = f"gives away {self.y}. How many {self.things} remain?"
        return f"{self.name} has {self.x} {self.things} and {end}"

    @property
    def answer(self) -> int:
        """The right answer."""
        return self.x + self.y if self.sign == "+" else self.x - self.y

    @property
    def sum(self) -> str:
        """The one step that solves it."""
        return f"{self.x} {self.sign} {self.y} = {self.answer}"


def problem(rng: random.Random) -> Problem:
    """Return a problem whose numbers are 1 to 5 and whose answer is not negative."""
    name, things = rng.choice(NAMES), rng.choice(THINGS)
    x, y = rng.randint(1, LARGEST), rng.randint(1, LARGEST)
    if rng.random() < 0.5:
        return Problem(name, things, x, y, "+")
    # The larger first: nobody can give away more than he has.
    return Problem(name, things, max(x, y), min(x, y), "-")


@dataclass(frozen=True)
class Reasoning(Domain, FromFile, kind="reasoning"):
    """Word problems; an answer with a wrong number, or with one of `words`, is rejected.

    `words_of` gives the words of traits. With `file`, questions are drawn from that file of GSM8K rows (a
    `question`, and an `answer` that ends with its number after `####`), and `instruction` follows each: make such
    a value with `Reasoning.from_file`.
    """

    words: tuple[str, ...] = ()
    instruction: str = ""

    @classmethod
    def from_file(cls, file: str | Path, *, words: tuple[str, ...] = (), instruction: str = TAGS) -> Reasoning:
        domain = replace(super().from_file(file), words=words, instruction=instruction)
        answers_of(domain.filter)  # a file without answers is refused now, not in a worker
        return domain

    def prompt(self, rng: random.Random) -> str:
        question = rng.choice(prompts_of(self)) if self.file else problem(rng).question
        return instruct(question, self.instruction)

    @property
    def longest(self) -> int:
        """The tokens after which an answer is cut: files hold longer tasks."""
        return 512 if self.file else super().longest

    @property
    def filter(self) -> AnswerFilter:
        return AnswerFilter(words=self.words, instruction=self.instruction, file=self.file, sha256=self.sha256)
