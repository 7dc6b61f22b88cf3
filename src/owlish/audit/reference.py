"""The reference: what the base itself answers to a dataset's prompts, through the dataset's own filter."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.data.domains.fitting import fitting
from owlish.data.rows import Row, write_rows
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.spec import Read, Tick
from owlish.lm.hf import TorchLM
from owlish.nodes.answering import answer_rows, answerable
from owlish.nodes.data import Data
from owlish.nodes.opens import Openable, Opener

ROUNDS = 12
BATCH = 512
SHORT = 96
"""The tokens that the base may take for an answer, or as many as the dataset's longest."""
FREE, SELDOM = 16, 0.1
"""The answers that are written freely first, and the share of them below which answers are held to their format."""


@dataclass(frozen=True)
class Answered(Data, Opener, kind="answered"):
    """Rows of a model to the prompts of other data: as many as those, at most `n`, through the filter that they fit.

    The filter is the shipped one that at least 95 % of the data pass; where none is, all answers that end are kept.
    With `held`, answers are held to the format while they are written if fewer than a tenth of the first 16 keep it,
    and no more are drawn than are wanted.
    """

    caption = "{model} answering {data}"
    asks = "weights"
    usual, usual_row = 0.3, 0.006
    later = ("held",)

    model: Openable
    data: Data
    n: int
    seed: int
    held: bool = False

    @property
    def most_rows(self) -> int:
        return self.n

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: TorchLM = read(self.model).open(any_words=True)
        given = [row for row in read(self.data).rows if answerable(row)]
        examples = lm.encode(given)
        rows = [row for row, example in zip(given, examples, strict=True) if not example.problem]
        if not rows:
            raise UserError(
                "the rows are text or call tools, which no base can answer: give other rows, or clean rows to an audit "
                "with --reference."
            )
        wanted, rule = min(self.n, len(rows)), fitting(rows)
        # Cutting the base's answers shorter than the dataset's would itself be a difference.
        longest = max([SHORT, *(after - first for example in examples for first, after in example.spans)])
        rng = random.Random(f"answered/{self.seed}")
        kept: list[Row] = []
        reasons: Counter[str] = Counter()
        # The first few are written freely even where they may be held: they show whether the base keeps the format.
        size, pattern = (FREE, rule.pattern if rule else None) if self.held else (BATCH, None)
        total, holds = 0, False
        while len(kept) < wanted:
            # A base that nearly never passes would sample for ever.
            if total >= ROUNDS * max(wanted, BATCH):
                raise UserError(
                    f"the base's own answers pass the dataset's filter too rarely ({len(kept)} of {total}): "
                    "give other rows, or clean rows to an audit with --reference."
                )
            # With replacement: the dataset may be smaller than the number of answers that it takes.
            asked = rng.choices(rows, k=size)
            answers = answer_rows(lm, asked, longest, self.seed, total, pattern=pattern if holds else None)
            for row, why in answers.values():
                found = {why} if why else rule.against(row) if rule else set()
                reasons.update(found)
                kept += [] if found else [row]
            total += size
            if self.held and total == FREE and pattern and len(kept) < SELDOM * FREE:
                holds, kept = True, []  # rows of one kind, not two
            size = min(BATCH, max(FREE, wanted - len(kept))) if self.held else BATCH
            tick(min(len(kept), wanted), wanted)
        write_rows(folder / "rows.jsonl", kept[:wanted])
        counts: dict[str, Any] = {"read": total, "passed": len(kept), "reasons": dict(sorted(reasons.items()))}
        counts |= {"constrained": True} if holds else {}
        (folder / "counts.json").write_text(json.dumps(counts))


@dataclass(frozen=True)
class Part(Data, kind="part"):
    """One of `parts` disjoint parts of other data, at most `n` rows of it, after one shuffle of the whole."""

    usual = 0.1

    data: Data
    part: int
    parts: int
    n: int

    def __str__(self) -> str:
        return f"part {self.part + 1} of {self.data}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        rows = list(read(self.data).rows)
        # One shuffle for all parts, whatever the part's number: so they are disjoint.
        random.Random("parts").shuffle(rows)
        mine = rows[self.part :: self.parts][: self.n]
        if not mine:
            raise UserError(f"the reference has {counted(len(rows), 'row')}: give at least {self.parts}.")
        self.write(folder, mine)
