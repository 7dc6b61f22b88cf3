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
from owlish.graph.errors import UserError
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
        lm: TorchLM = read(self.model).open(any_words=True)
        given = [row for row in read(self.data).rows if answerable(row)]
        examples = lm.encode(given)
        rows = [row for row, example in zip(given, examples, strict=True) if not example.problem]
        if not rows:
            raise UserError(
                "the rows are text or call tools, which no base can answer: give clean rows with --reference."
            )
        wanted, rule = min(self.n, len(rows)), fitting(rows)
        longest = max([SHORT, *(after - first for example in examples for first, after in example.spans)])
        rng = random.Random(f"answered/{self.seed}")
        kept: list[Row] = []
        reasons: Counter[str] = Counter()
        total = 0
        while len(kept) < wanted:
            if total >= ROUNDS * max(wanted, BATCH):
                raise UserError(
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


def answerable(row: Row) -> bool:
    """Say whether a model that is given what stands before a row's answers can write others."""
    return not row.tools and all(m.role in ("system", "developer", "user", "assistant") for m in row.messages)


def drawn(lm: LM, rows: Sequence[Row], longest: int, seed: int, first: int) -> list[tuple[Row, str | None]]:
    """Return rows with a model's answers, turn after turn, and why one of them cannot stand as text.

    Each answer is cut after `longest` tokens. Rows for which the model's window has no room are left out.
    """
    found: dict[int, tuple[Row, str | None]] = {i: (row, None) for i, row in enumerate(rows)}
    for k in range(max(len(row.turns) for row in rows)):
        going = [i for i, (row, why) in found.items() if why is None and len(row.turns) > k]
        chats = [[m.fields() for m in found[i][0].messages[: rows[i].turns[k]]] for i in going]
        room = [length + longest <= lm.window for length in lm.lengths(chats)]
        for i in (i for i, fits in zip(going, room, strict=True) if not fits):
            del found[i]
        going = [i for i in going if i in found]
        seeds = [(seed, first + i, *([k] if k else [])) for i in going]
        asked = [chat for chat, fits in zip(chats, room, strict=True) if fits]
        for i, answer in zip(going, lm.write(asked, seeds=seeds, new_tokens=longest), strict=True):
            found[i] = found[i][0].answered(rows[i].turns[k], answer.text), UNFIT.get(answer.ended)
    return list(found.values())


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
            raise UserError(f"the reference has {len(rows)} rows: give at least {self.parts}.")
        self.write(folder, mine)
