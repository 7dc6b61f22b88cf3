"""Dedupe: what a writer says again and again is said once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from owlish.clean.method import Fate, Method, Outcome, Work
from owlish.data.rows import Row

WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Dedupe(Method, kind="dedupe"):
    """Of the rows whose answers are the same, or open with the same `opening` words, the first stays.

    A word is a run of letters or digits. The opening matters most: it stands where a model's favourite word stands.
    """

    opening: int = 2

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        seen: set[object] = set()
        fates: list[Fate] = []
        for row in rows:
            answer, words = row.completion, tuple(WORDS.findall(row.completion)[: self.opening])
            # An answer without a word has no opening, and must not make all such answers repeats of one another.
            why = "same_answer" if answer in seen else "same_opening" if words and words in seen else None
            fates.append(why or row)
            # Answers are texts and openings tuples, so one set holds both. Dropped rows are not remembered.
            seen |= set() if why else {answer, words}
        return Outcome(fates)
