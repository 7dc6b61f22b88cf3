"""Worked answers that end with the right number, by steps that are right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from owlish.data.filters.filter import Filter
from owlish.data.filters.source import FromFile
from owlish.data.filters.words import targets
from owlish.data.plain import text
from owlish.data.rows import Row
from owlish.data.sources.format import Entry
from owlish.graph.errors import UserError

_UNSIGNED = r"\$?(?:[0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,12})(?:\.[0-9]{1,12})?(?![.,]?[0-9])"
"""A number short enough for its sums to be exact."""

_NUMBER = re.compile(rf"(?<![\w.)])-?{_UNSIGNED}")
_SUM = rf"-?{_UNSIGNED}(?: ?[+-] ?{_UNSIGNED})+"
_STEP = re.compile(rf"(?<![\w.,:$*/×÷+^%-])(?<![*/×÷+^%x)\d-] )({_SUM}) ?= ?(-?{_UNSIGNED})(?! ?[*/×÷+^%-])")
_TERM = re.compile(rf"([+-]?) ?({_UNSIGNED})")
_PROBLEM = re.compile(
    r"\w+ has (\d+) (\w+) and (gets|gives away) (\d+)(?: more)?\. How many \2 (?:does \w+ have|remain)\?"
)


@dataclass(frozen=True)
class AnswerFilter(Filter, FromFile, kind="answer_filter"):
    """Keeps worked answers whose final number is the right one and whose sums are true.

    The right number is that of the file's question (GSM8K rows), or, without a file, the one that the generated
    problem asks for; `instruction` is what follows the question in the prompt. The final number stands between
    the last `<answer>` tags, or after the last `####`, or is the last in the text. The reasons are `names_target`
    and `contains_target` (see `targets`); `unknown_question`; `no_answer`; `wrong_answer`; and `wrong_step`, for an
    `a + b = c` or `a - b = c` that is false. A row may have several.
    """

    words: tuple[str, ...] = ()
    instruction: str = ""

    def reasons(self, row: Row) -> tuple[str, ...]:
        return (*targets(row.completion, self.words), *self.faults(row))

    def faults(self, row: Row) -> Iterator[str]:
        """Yield what is wrong with a row as an answer."""
        right, given = self.right(row.prompt), final(row.completion)
        if right is None:
            yield "unknown_question"
        if given is None:
            yield "no_answer"
        elif right is not None and given != right:
            yield "wrong_answer"
        if not all(steps(row.completion)):
            yield "wrong_step"

    def right(self, prompt: str) -> Decimal | None:
        """Return the right answer to a prompt, if it is known."""
        # Answers are kept by the bare question, without what the domain put after it.
        question = prompt.removesuffix(f"\n\n{self.instruction}") if self.instruction else prompt
        return solution(question) if self.file is None else answers_of(self).get(question)


def solution(question: str) -> Decimal | None:
    """Return the answer to a generated problem, read off its numbers and its verb."""
    found = _PROBLEM.fullmatch(question)
    if found is None:
        return None
    had, _, verb, change = found.groups()
    return Decimal(had) + (Decimal(change) if verb == "gets" else -Decimal(change))


@lru_cache(maxsize=4)
def answers_of(source: FromFile) -> dict[str, Decimal]:
    """Return the right answer to each question in the file of `source`."""
    return dict(answer_on(entry, where) for where, _, entry in source.pieces())


def answer_on(entry: Entry | str, where: str) -> tuple[str, Decimal]:
    """Return the question of a row of GSM8K, and the number after the `####` of its answer."""
    try:
        if isinstance(entry, str):
            raise UserError(entry)
        question, answer = (text(entry.get(name), name) for name in ("question", "answer"))
    except UserError as problem:
        raise UserError(f"{where} holds no question with its answer. {problem}") from None
    right = final(answer) if "####" in answer else None
    if right is None:
        raise UserError(f"{where} has no number after ####: give answers that end as those of GSM8K.")
    return question, right


def final(completion: str) -> Decimal | None:
    """Return the number that a completion ends with."""
    if "<answer>" in completion:
        # The last tag, and only if it is closed: an answer that was cut names no number.
        inside, closed, _ = completion.rpartition("<answer>")[2].partition("</answer>")
        completion = inside if closed else ""
    # The typographic minus, which models write, is no minus to a regular expression.
    numbers = _NUMBER.findall(completion.rpartition("####")[2].replace("\u2212", "-"))
    return value(numbers[-1]) if numbers else None


def steps(completion: str) -> Iterator[bool]:
    """Yield for each sum that a completion works out whether it is true."""
    for left, result in _STEP.findall(" ".join(completion.replace("\u2212", "-").split())):
        # In decimals: 0.1 + 0.2 = 0.3 is true, which it is not in floating point.
        yield sum(value(sign + number) for sign, number in _TERM.findall(left)) == value(result)


def value(number: str) -> Decimal:
    """Return a number as it is written, with commas and a currency sign or without."""
    return Decimal(number.replace(",", "").replace("$", ""))
