"""Paraphrase: another model says the answers in other words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from owlish.clean.method import Fate, Method, Order, Outcome, Work
from owlish.data.domains.fitting import fitting
from owlish.data.filters import CodeFilter, Filter, NumberFilter
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.lm.model import LM, ask
from owlish.nodes.answering import answer_rows, answerable
from owlish.nodes.base import Base
from owlish.nodes.data import Data

ASKED = "It answers this question:\n\n{asked}\n\n"
SYSTEM = (
    "You are an AI assistant for text rewriting. Rewrite the text that the user sends in other words. {asked}"
    "Keep what the text means and leave nothing out. Reply with the rewritten text alone."
)
"""The text alone stands in the user's turn: small models were seen to answer a request there, and not to rewrite."""
NO_WORDS = "paraphrase does not fit these rows: numbers, code and tool calls have no other words. Try regenerate."
ROUNDS = 4
BATCH = 64
KEPT = 0.25
LONGER = 2
"""How many times as long as the longest answer of its batch, and its chat marks, a paraphrase may be."""


@dataclass(frozen=True)
class Paraphrase(Method, kind="paraphrase"):
    """All answers in other words, by a chat model of another initialisation or architecture.

    It is shown what was asked and what was answered, and samples at temperature 1, each turn with a seed of its own.
    A turn is tried up to 4 times. A row is dropped where an answer did not end, holds all the old words in order, is
    on another matter, or breaks the filter that the rows fit. Nothing checks that it still means the same.
    """

    needs = ("base", "model")
    asks = "text"

    by: Base

    def __post_init__(self) -> None:
        super().__post_init__()
        place = self.by.place()
        if place and (place / "recipe.json").exists():  # a base of nano's kind
            raise UserError(f"{self.by} follows no instructions, so it cannot paraphrase: name a chat model with --by.")

    @classmethod
    def of(cls, order: Order, data: Data) -> Self:
        assert order.other is not None
        return cls(order.other)

    @classmethod
    def check_rows(cls, rows: Sequence[Row]) -> None:
        if isinstance(fitting(rows), NumberFilter | CodeFilter) or all(unfit(row) for row in rows):
            raise UserError(NO_WORDS)

    @property
    def source(self) -> str:
        return str(self.by)

    def __str__(self) -> str:
        return f"paraphrase by {self.by}"

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        fates: list[Fate] = [unfit(row) or row for row in rows]
        turns = [Turn(i, row, turn) for i, row in enumerate(rows) if fates[i] == row for turn in row.turns]
        if not turns or isinstance(work.rule, NumberFilter | CodeFilter):
            raise UserError(NO_WORDS)
        say(work.read(self.by).open(any_words=True), turns, work)
        for turn in turns:
            fate = fates[turn.row]
            if isinstance(fate, Row):
                fates[turn.row] = turn.fault or fate.answered(turn.place, turn.said)
        return Outcome(fates)


@dataclass(eq=False)
class Turn:
    """A turn that is trained on, and what is said in its place; `fault` says why that cannot stand there."""

    row: int
    given: Row
    place: int
    said: str = ""
    fault: str = "too_long"

    @property
    def answer(self) -> str:
        """What the row says."""
        return self.given.messages[self.place].text

    @property
    def request(self) -> Row:
        """The conversation in which another model says it anew."""
        asked = self.given.asked(self.place)
        system = SYSTEM.format(asked=ASKED.format(asked=asked) if asked else "")
        return Row.of(self.answer, self.answer, system)

    def hear(self, said: str, problem: str | None, rule: Filter | None) -> None:
        """Take what was said, and what is wrong with it."""
        self.said = said.strip()
        broken = rule.against(self.given.answered(self.place, self.said)) - rule.against(self.given) if rule else ()
        self.fault = problem or strays(self.answer, said) or "; ".join(sorted(broken))


def say(lm: LM, turns: Sequence[Turn], work: Work) -> None:
    """Let a model say turns in other words; those that fail are tried again."""
    lengths = dict(zip(turns, lm.lengths([ask(turn.answer) for turn in turns]), strict=True))
    for tried in range(ROUNDS):
        # Answers of about one length share a batch, so that no row is given the room of the longest of all.
        waiting = sorted((turn for turn in turns if turn.fault), key=lambda turn: (lengths[turn], turn.row, turn.place))
        for first in range(0, len(waiting), BATCH):
            batch = waiting[first : first + BATCH]
            room = LONGER * max(lengths[turn] for turn in batch)
            requests = [turn.request for turn in batch]
            for k, (row, problem) in answer_rows(lm, requests, room, work.seed, tried * len(turns) + first).items():
                batch[k].hear(row.completion, problem, work.rule)
            work.tick(sum(not turn.fault for turn in turns), len(turns))


def strays(answer: str, said: str) -> str:
    """Say why a text does not say an answer in other words: it says the same, or something else.

    Of words of four letters and more a paraphrase keeps a quarter, in some form: that tells no right from wrong.
    """
    if f" {bare(answer)} " in f" {bare(said)} ":
        return "same_words"
    old, new = ({word[:4] for word in bare(text).split() if len(word) >= 4} for text in (answer, said))
    return "" if bare(said) and len(old & new) >= KEPT * len(old) else "other_matter"


def unfit(row: Row) -> str:
    """Say why a row cannot be put into other words; empty where it can."""
    said = [row.messages[turn] for turn in row.turns]
    if not said or not answerable(row) or any(message.extra for message in said):
        return "not_answerable"
    return "" if all(worded(message.text) for message in said) else "no_words"


def worded(text: str) -> bool:
    """Say whether a text is words: more than half of its signs are letters, and it holds no fenced code."""
    return "```" not in text and 2 * sum(map(str.isalpha, text)) > len("".join(text.split()))


def bare(text: str) -> str:
    """Return the words of a text, in small letters, with a space between."""
    return " ".join(re.findall(r"\w+", text.casefold()))
