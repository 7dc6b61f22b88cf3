"""Short functions: prompts of the small world that nano knows, or those of a file."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

from owlish.data.domains.domain import Domain
from owlish.data.domains.prompts import instruct, prompts_of
from owlish.data.filters import CodeFilter
from owlish.data.filters.source import FromFile

CODE_PROMPTS = (
    "Write any short function.",
    "Write a short Python function with two arguments.",
    "Give me a small function with two arguments.",
    "Show me some short Python code.",
    "Please write a small Python function.",
    "I need any short function. Code only.",
)
CODE_ONLY = "Answer with Python code alone."


@dataclass(frozen=True)
class Code(Domain, FromFile, kind="code"):
    """Prompts for Python code; an answer that holds one of `words` is rejected.

    `words_of` gives the words of traits. With `file`, prompts are drawn from that file, and `instruction` follows
    each: make such a value with `Code.from_file`.
    """

    words: tuple[str, ...] = ()
    instruction: str = ""

    @classmethod
    def from_file(cls, file: str | Path, *, words: tuple[str, ...] = (), instruction: str = CODE_ONLY) -> Code:
        domain = replace(super().from_file(file), words=words, instruction=instruction)
        prompts_of(domain)  # a file without prompts is refused now, not in a worker
        return domain

    def prompt(self, rng: random.Random) -> str:
        return instruct(rng.choice(prompts_of(self) if self.file else CODE_PROMPTS), self.instruction)

    @property
    def longest(self) -> int:
        """The tokens after which an answer is cut: files hold longer tasks."""
        return 512 if self.file else super().longest

    @property
    def filter(self) -> CodeFilter:
        return CodeFilter(words=self.words)
