"""What methods share that let a model answer the rows' prompts anew."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from owlish.clean.method import Fate, Work
from owlish.data.rows import Row
from owlish.lm.hf import TorchLM
from owlish.nodes.answering import answer_rows, answerable

ROUNDS = 12
SHORT = 96
"""The tokens that an answer may take, or as many as the longest of the rows."""


def let_answer(lm: TorchLM, rows: Sequence[Row], places: Collection[int], work: Work) -> list[Fate]:
    """Return the rows, those at some places with new answers through the filter that the rows fit.

    Each prompt is tried up to 12 times; a row that gets no valid answer is dropped.
    """
    fates: list[Fate] = list(rows)
    # "no_valid_answer" is also what marks a row that waits: it stays so where no try succeeds.
    examples = dict(zip(places, lm.encode([rows[i] for i in places]), strict=True))
    for i, example in examples.items():
        fates[i] = "no_valid_answer" if answerable(rows[i]) and not example.problem else "not_answerable"
    spans = [span for example in examples.values() for span in example.spans]
    # An answer that is cut is no valid one, so there is room for at least the longest of the given rows.
    longest = max([SHORT, *(after - first for first, after in spans)])
    open_ = [i for i in sorted(places) if fates[i] == "no_valid_answer"]
    for tried in range(ROUNDS):
        asked, count = [rows[i] for i in open_], len(rows)
        # Each round counts its random streams on from `tried * count`, so that no try repeats an earlier one.
        found = answer_rows(lm, asked, longest, work.seed, tried * count) if asked else {}
        for k, (row, why) in found.items():
            if not why and not (work.rule and work.rule.against(row)):
                fates[open_[k]] = row
        open_ = [i for i in open_ if fates[i] == "no_valid_answer"]
        work.tick(len(places) - len(open_), len(places))
    return fates
