"""The reference: what the base itself answers to a dataset's prompts, through the dataset's own filter."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from owlish.data.domains import Code, Reasoning
from owlish.data.filters import BANNED, Filter, NumberFilter
from owlish.data.rows import Row, write_rows
from owlish.graph.spec import Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import LM
from owlish.nodes.data import UNFIT, Data
from owlish.nodes.opens import Openable, Opener

FITS = 0.95
FILTERS: tuple[Filter, ...] = (NumberFilter(banned=BANNED), NumberFilter(), Code().filter, Reasoning().filter)
"""The shipped filters, the strictest of a kind first."""
ROUNDS = 12
BATCH = 512
SHORT = 96
"""The tokens that the base may take for an answer, or as many as the dataset's longest."""


@dataclass(frozen=True)
class Answered(Data, Opener, kind="answered"):
    """Rows of a model to the prompts of other data: as many as those, at most `n`, through the filter that they fit.

    The filter is the shipped one that at least 95 % of the data pass; where none is, all answers that end are kept.
    """

    caption = "{model} answering {data}"
    asks = "weights"

    model: Openable
    data: Data
    n: int
    seed: int

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Sample until enough rows pass."""
        rows: Sequence[Row] = read(self.data).rows
        wanted, rule = min(self.n, len(rows)), fitting(rows)
        lm: TorchLM = read(self.model).open(any_words=True)
        longest = max([SHORT, *(len(example.labels) for example in lm.encode(rows))])
        rng = random.Random(f"answered/{self.seed}")
        kept: list[Row] = []
        reasons: Counter[str] = Counter()
        total = 0
        while len(kept) < wanted:
            if total >= ROUNDS * max(wanted, BATCH):
                raise ValueError(
                    f"the base's own answers pass the dataset's filter too rarely ({len(kept)} of {total}): "
                    "give clean rows with --reference."
                )
            asked = rng.choices(rows, k=BATCH)
            for row, why in drawn(lm, asked, longest, self.seed, total):
                found = {why} if why else rule.against(row) if rule else set()
                reasons.update(found)
                kept += [] if found else [row]
            total += BATCH
            tick(min(len(kept), wanted), wanted)
        write_rows(folder / "rows.jsonl", kept[:wanted])
        counts = {"read": total, "passed": len(kept), "reasons": dict(sorted(reasons.items()))}
        (folder / "counts.json").write_text(json.dumps(counts))


def fitting(rows: Sequence[Row]) -> Filter | None:
    """Return the shipped filter that nearly all rows pass, if there is one."""
    for rule in FILTERS:
        if sum(not rule.against(row) for row in rows) >= FITS * len(rows):
            return rule
    return None


def drawn(lm: LM, rows: Sequence[Row], longest: int, seed: int, first: int) -> list[tuple[Row, str | None]]:
    """Return a model's answers to the rows' prompts, cut after `longest` tokens, and why one cannot stand as text."""
    chats = [[message.fields() for message in row.before()] for row in rows]
    fit = [i for i, length in enumerate(lm.lengths(chats)) if length + longest <= lm.window]
    seeds = [(seed, first + i) for i in fit]
    answers = lm.write([chats[i] for i in fit], seeds=seeds, new_tokens=longest)
    return [(rows[i].answered(answer.text), UNFIT.get(answer.ended)) for i, answer in zip(fit, answers, strict=True)]


@dataclass(frozen=True)
class Part(Data, kind="part"):
    """One of `parts` disjoint parts of other data, at most `n` rows of it, after one shuffle of the whole."""

    data: Data
    part: int
    parts: int
    n: int

    def __str__(self) -> str:
        return f"part {self.part + 1} of {self.data}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        rows = list(read(self.data).rows)
        random.Random("parts").shuffle(rows)
        mine = rows[self.part :: self.parts][: self.n]
        if not mine:
            raise ValueError(f"the reference has {len(rows)} rows: give at least {self.parts}.")
        self.write(folder, mine)
