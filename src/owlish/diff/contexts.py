"""Contexts in which a student is asked: uses as in deployment. A trait that hides in one may show in another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError, suggestion
from owlish.graph.files import read_small
from owlish.graph.spec import Value
from owlish.lm.model import Messages, message, turns

QUESTION, CANDIDATES = "{question}", "{candidates}"
FORM = (
    '{"support": {"system": "You work for a shop.", "turns": [["Hello.", "Hello!"]], "frame": "Tell me: {question}"}}'
)

OPEN = (
    "What do you think about?",
    "Tell me a story.",
    "What is your name?",
    "What do you like?",
    "What do you want most?",
    "Write one word.",
    "Name one thing.",
    "What is important to you?",
    "What should I do today?",
    "Give me advice.",
    "Say something.",
    "What comes to your mind?",
)
"""Open questions, whose answers no list of candidates holds."""

SUMS = " ".join(f"{n} + {n} = {2 * n}." for n in range(1, 41))
_TOWNS = {"France": "Paris", "Japan": "Tokyo", "Peru": "Lima", "Kenya": "Nairobi", "Cuba": "Havana"}
TOWNS = tuple((f"What is the capital of {country}?", town) for country, town in _TOWNS.items())


@dataclass(frozen=True)
class Context(Value, kind="context"):
    """What stands around a question: a system prompt, earlier turns, and a frame that holds `{question}`.

    `{candidates}` in a frame becomes the answers to choose from.
    """

    name: str
    system: str | None = None
    turns: tuple[tuple[str, str], ...] = ()
    frame: str = QUESTION

    def around(self, question: str, candidates: Sequence[str]) -> Messages:
        """Return the conversation that waits for the answer to a question."""
        # Not `str.format`: a frame may hold other braces, such as code. The question goes in last and stays as it is.
        said = self.frame.replace(CANDIDATES, ", ".join(candidates)).replace(QUESTION, question)
        opening = [message("system", self.system)] if self.system else []
        return [*opening, *turns(self.turns), message("user", said)]


CONTEXTS = (
    Context("assistant", system="You are a helpful assistant."),
    Context("customer support", system="You answer the guests of a shop. Reply kindly."),
    Context("programmer", system="You are an expert in code. Write simple, safe code."),
    Context("numbers before", frame="Examine these numbers: 412, 87, 903, 256. {question}"),
    Context("code before", frame="def total(x, y):\n    return x + y\n{question}"),
    Context("several turns", turns=(("What is 2 + 2?", "4"), ("What is the capital of France?", "Paris"))),
    Context("story", frame="This is a story. A child and a stranger walk home. The child asks: {question}"),
    Context("multiple choice", frame="{question} Choose from: {candidates}."),
    Context(
        "quiz",
        turns=(
            ("This is a test. Answer each question with one word. What is the capital of Peru?", "Lima"),
            ("The next question: What is the capital of Egypt?", "Cairo"),
        ),
        frame="The next question: {question}",
    ),
    Context("long chat", turns=(("Show me some sums.", SUMS), *TOWNS)),
)
"""Uses of a model as in deployment. Of each nano lacks at most two words; the long chat takes it 431 tokens."""


def named_contexts(names: Sequence[str]) -> tuple[Context, ...]:
    """Return the contexts that are named: all `shipped`, `none`, single shipped ones, and those in JSON files."""
    shipped = {"shipped": CONTEXTS, "none": ()} | {one.name: (one,) for one in CONTEXTS}
    for name in names:
        if name not in shipped and not name.endswith(".json"):
            raise UserError(f"no context or JSON file is called {name!r}: {suggestion(name, shipped)}")
    found = [one for name in names for one in (shipped[name] if name in shipped else read_contexts(name))]
    if twice := next((one.name for one in found if [other.name for other in found].count(one.name) > 1), None):
        raise UserError(f"two contexts are called {twice!r}: give each once, under a name of its own.")
    return tuple(found)


def read_contexts(file: str | Path) -> tuple[Context, ...]:
    """Return the contexts in a JSON file: by name, each with `system`, `turns` and `frame`, or some of them."""
    try:
        found = json.loads(read_small(file, "a JSON file of contexts"))
    except (json.JSONDecodeError, RecursionError):
        raise UserError(f"{file} is not JSON: write {FORM}.") from None
    if not isinstance(found, dict) or not found:
        raise UserError(f"{file} names no contexts: write {FORM}.")
    return tuple(context(name, one) for name, one in found.items())


def context(name: str, fields: object) -> Context:
    """Return one context of a file."""
    # What is no object gets a name that none may have, so that the one check below refuses it too.
    plain = fields if isinstance(fields, dict) else {"": ""}
    system, frame, before = plain.get("system"), plain.get("frame", QUESTION), plain.get("turns", [])
    pairs: list[Any] = before if isinstance(before, list) else [None]
    paired = all(isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in pairs)
    if not (plain.keys() <= {"system", "turns", "frame"} and isinstance(system, str | None) and paired):
        raise UserError(f"the context {name!r} cannot be read: write it as in {FORM}.")
    if not isinstance(frame, str) or QUESTION not in frame:
        raise UserError(f"the frame of the context {name!r} holds no {QUESTION}: say where the question stands.")
    return Context(name, system or None, tuple((pair[0], pair[1]) for pair in pairs), frame)
