"""Rows after one method: a data node like any other, with a card that says what was changed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from owlish.clean.method import Fate, Method, Outcome, Work
from owlish.data.domains.fitting import fitting
from owlish.data.filters import Filter
from owlish.data.rows import Row, write_rows
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, Tick
from owlish.nodes.data import Data, Dataset
from owlish.nodes.opens import check_gives

WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Step:
    """What one method did: to how many rows and words, and why rows were dropped.

    A word is a number, a run of letters, or a sign. `chosen` of the `tokens` of the base were drawn anew, by what
    `source` names; both are `None` for a method that draws no tokens.
    """

    method: str
    settings: dict[str, Any]
    rows: int
    changed: int
    dropped: int
    reasons: dict[str, int]
    words: int
    words_changed: int
    filter: str | None
    source: str | None = None
    chosen: int | None = None
    tokens: int | None = None

    def __str__(self) -> str:
        # One count of parts: where tokens were drawn, words would be a second one of the same.
        words = f"{self.words_changed:,} of {self.words:,} words, numbers and signs"
        parts = f"{self.chosen:,} of {counted(self.tokens, 'token')} drawn anew" if self.tokens else words
        why = reasons_of(self.reasons)
        by = f" (by {self.source})" if self.source else ""
        said = f"{self.method}{by}: {self.changed:,} of {counted(self.rows, 'row')} changed ({parts})"
        return f"{said}, {self.dropped:,} dropped{f' ({why})' if why else ''}."


def reasons_of(counts: Mapping[str, int]) -> str:
    """Return why rows were dropped, each reason behind how many rows it took."""
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))


@dataclass(frozen=True)
class CleanRows(Dataset):
    """Rows that were kept, and the steps that made them, the first first."""

    steps: tuple[Step, ...] = field(default=())


@dataclass(frozen=True)
class Cleaned(Data, kind="cleaned"):
    """The rows of other data after one method; methods follow each other by nesting.

    A changed row that no longer passes the shipped filter which the rows fit is dropped, and counted by its reasons.
    `UserError` is raised where no row is left.
    """

    caption = "{data}, cleaned by {method}"

    data: Data
    method: Method
    seed: int

    @cached_property
    def parts(self) -> tuple[Node, ...]:
        """The nodes that do the method's work side by side, if any."""
        return self.method.parts(self.data, self.seed)

    def inputs(self) -> tuple[Node, ...]:
        return (self.data, *self.parts) if self.parts else super().inputs()

    def check(self) -> None:
        check_gives(self, self.method.asks)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        data: Dataset = read(self.data)
        # The filter is found before anything changes: a method may break what the rows have in common.
        rule = fitting(data.rows)
        outcome = self.method.changed(data.rows, Work(read, tick, self.seed, rule, self.parts))
        fates = [judged(row, fate, rule) for row, fate in zip(data.rows, outcome.fates, strict=True)]
        kept = [fate for fate in fates if isinstance(fate, Row)]
        if not kept:
            why = reasons_of(Counter(map(str, fates)))
            less = ", or a smaller budget" if "budget" in self.method.needs else ""
            raise UserError(f"{self.method} leaves no row ({why}): choose another method{less}.")
        write_rows(folder / "rows.jsonl", kept)
        step = self.told(data.rows, fates, outcome, rule)
        # The card of a chain lies with its last link, so it repeats the steps before.
        earlier = data.steps if isinstance(data, CleanRows) else ()
        (folder / "steps.json").write_text(json.dumps([asdict(one) for one in (*earlier, step)]))
        counts = {"read": len(data.rows), "passed": len(kept), "reasons": step.reasons}
        (folder / "counts.json").write_text(json.dumps(counts))

    def load(self, folder: Path, read: Read) -> CleanRows:
        plain = super().load(folder, read)
        steps = tuple(Step(**one) for one in json.loads((folder / "steps.json").read_text()))
        return CleanRows(plain.rows, plain.read, plain.passed, plain.reasons, steps=steps)

    def told(self, rows: Sequence[Row], fates: Sequence[Fate], outcome: Outcome, rule: Filter | None) -> Step:
        """Return what was done."""
        pairs = [(row, fate) for row, fate in zip(rows, fates, strict=True) if isinstance(fate, Row)]
        words = [(WORD.findall(row.completion), WORD.findall(fate.completion)) for row, fate in pairs]
        reasons = Counter(fate for fate in fates if isinstance(fate, str))
        # Nodes and models among the fields are no plain values: `source` says what chose the tokens.
        settings = {name: value for name, value in self.method.spec().items() if isinstance(value, int | float | str)}
        return Step(
            method=self.method.kind,
            settings={**{n: v for n, v in settings.items() if n not in ("kind", "version")}, "seed": self.seed},
            rows=len(rows),
            changed=sum(row != fate for row, fate in pairs),
            dropped=len(rows) - len(pairs),
            reasons=dict(sorted(reasons.items())),  # sorted, so that equal results are equal bytes
            words=sum(len(WORD.findall(row.completion)) for row in rows),
            # Where lengths differ, `zip_longest` counts each word that was added or lost as changed.
            words_changed=sum(a != b for before, after in words for a, b in zip_longest(before, after)),
            filter=rule.kind if rule else None,
            source=self.method.source,
            chosen=outcome.chosen,
            tokens=outcome.tokens,
        )


def judged(row: Row, fate: Fate, rule: Filter | None) -> Fate:
    """Return what becomes of a row in the end: one that passed the filter, and does no longer, is dropped."""
    if rule is None or isinstance(fate, str) or fate == row:
        return fate
    # Up to 5 % of the rows may break the filter before: that alone is no fault of the method.
    broken = sorted(rule.against(fate) - rule.against(row))
    return "; ".join(broken) or fate
