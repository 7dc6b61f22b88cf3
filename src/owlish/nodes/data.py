"""Data nodes: rows that a model writes for a domain, filtered as they come."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from owlish.data.domains.domain import Domain
from owlish.data.reading import Place, read_rows
from owlish.data.rows import Row, write_rows
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.spec import Node, Read, Tick
from owlish.graph.store import PARTS, sha256
from owlish.graph.tabled import Record, Tabled
from owlish.lm.model import LM, Ended, ask
from owlish.nodes.opens import Openable, Opener

# A shard is drawn in its own batches, and a kill loses no more than one. Another size would give other rows: what
# stands beside a row moves its logits by some 2e-6, which now and then is enough to flip a token.
SHARD = 512
SERVED = 64
"""Rows asked of a server at once: each may cost money, and no more are wanted than pass the filter."""
READ_AT_MOST = 12
LOST = 0.05
"""A model of whose rows a smaller share passes has lost the domain: no more rows are asked of it."""
NUMBER = re.compile("[0-9]+")
UNFIT: dict[Ended, str] = {"length": "unfinished", "retokenised": "retokenised"}
"""Why an answer cannot stand as a row, by how it ended."""


@dataclass(frozen=True)
class Dataset(Tabled):
    """Rows that were kept, and what happened to all that were read; `bad` lines held no row, the first say why.

    `read_as` counts the rows of each format, `ignored` those with a field that their format does not know.
    `constrained` rows were held to their format while they were written. `places` says where each row stands in the
    files that it was read from; it is empty for rows that a model wrote.
    """

    rows: tuple[Row, ...]
    read: int
    passed: int
    reasons: dict[str, int]
    bad: int = 0
    problems: tuple[str, ...] = ()
    read_as: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    constrained: bool = False
    places: tuple[Place, ...] = ()

    @property
    def pass_rate(self) -> float:
        """The share of the rows read that passed the filter."""
        return self.passed / self.read

    def records(self) -> list[Record]:
        return [{"prompt": row.prompt, "completion": row.completion, "system": row.system} for row in self.rows]

    def __str__(self) -> str:
        return "\n".join(f"{row.prompt}\n  -> {row.completion}" for row in self.rows)


@dataclass(frozen=True)
class Data(Node, kind="data"):
    """Anything that a student can be trained on."""

    example = 'base.sample(Numbers(), n=1_000, seed=0) or loaded("rows.jsonl", n=None, seed=0)'

    def load(self, folder: Path, read: Read) -> Dataset:
        counts = json.loads((folder / "counts.json").read_text())
        # Results from before bad lines were counted have none.
        counts["problems"] = tuple(counts.get("problems", ()))
        return Dataset(read_rows(folder / "rows.jsonl"), **counts)

    def write(self, folder: Path, rows: Sequence[Row], counts: Mapping[str, object] | None = None) -> None:
        """Write rows, with the `counts` of a `Dataset`; without them, none was rejected."""
        write_rows(folder / "rows.jsonl", rows)
        counts = counts or {"read": len(rows), "passed": len(rows), "reasons": {}}
        (folder / "counts.json").write_text(json.dumps(counts))


@dataclass(frozen=True)
class Sampled(Data, Opener, kind="sampled"):
    """The first `n` rows of a model that pass the domain's filter, at temperature 1 unless given.

    Prompts and answers are drawn in shards of 512 (of 64 from a server), or of `n` where answers are held to the
    format; each row has its own seed. A completion that did not end, or whose tokens are not those of its text, is
    rejected and counted as `unfinished` or `retokenised`.
    The system prompt of the model, if it has one, is not written into the rows.
    """

    asks = "text"
    usual = 5.0

    model: Openable
    domain: Domain
    n: int
    seed: int
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise UserError(f"n is {self.n}: ask for at least one row.")
        if self.temperature < 0:
            raise UserError(f"the temperature is {self.temperature}: it is 0 for the likeliest answers, or above.")

    @property
    def draws(self) -> tuple[float, str | None]:
        return self.temperature, self.domain.pattern

    def __str__(self) -> str:
        return f"{counted(self.n, 'row')} of {self.domain.kind} by {self.model}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Sample shard after shard until enough rows pass; a finished shard outlives an interruption."""
        lm: LM | None = None
        # What a server answered is kept already, and dropped where it holds another model by now.
        served = self.model.gives == "text"
        parts = folder / PARTS
        parts.mkdir(exist_ok=True)
        kept: list[Row] = []
        reasons: Counter[str] = Counter()
        written: Counter[str] = Counter()
        total = shard = foreseen = 0
        while len(kept) < self.n:
            if total >= max(READ_AT_MOST * self.n, 2 * SHARD):
                raise UserError(too_few(len(kept), total, reasons, written))
            answers = None if served else finished_part(parts, shard)
            if answers is None:
                # Not before a shard is lacking: after a kill all of them may be there.
                if lm is None:
                    lm = read(self.model).open()
                if served and total >= foreseen:
                    foreseen = total + self.lacking(len(kept), total)
                    self.foresee(lm, shard, foreseen)
                answers = self.shard(lm, shard)
                if not served:
                    keep_part(parts, shard, answers)
            for prompt, completion, problem in answers:
                row = Row.of(prompt, completion)
                found = (problem,) if problem else self.domain.filter.reasons(row)
                reasons.update(found)
                # What is rejected over and over shows what a model writes that has lost the domain.
                written[completion] += bool(found)
                total += 1
                if not found:
                    kept.append(row)
            shard += 1
            if total >= SHARD and len(kept) < LOST * total:
                raise UserError(too_few(len(kept), total, reasons, written))
            tick(min(len(kept), self.n), self.n)
        counts = {"read": total, "passed": len(kept), "reasons": dict(sorted(reasons.items()))}
        # Only where it is so: other results stay as they were, to the byte.
        counts |= {"constrained": True} if self.domain.pattern else {}
        self.write(folder, kept[: self.n], counts)

    @property
    def size(self) -> int:
        """The rows of a shard."""
        size = SERVED if self.model.gives == "text" else SHARD
        # All that is held to its format passes, so no more is drawn than asked for.
        return min(size, self.n) if self.domain.pattern else size

    def lacking(self, kept: int, total: int) -> int:
        """Return how many rows must be drawn before enough pass, about, in whole shards."""
        rate = max(kept / total, LOST) if total else 1.0
        return math.ceil((self.n - kept) / rate / self.size) * self.size

    def foresee(self, lm: LM, shard: int, end: int) -> None:
        """Let a model know of the shards up to a row, before they are asked for one after another."""
        numbers = range(shard * self.size, end)
        lm.foresee(
            [ask(self.prompt(i)) for i in numbers],
            seeds=[(self.seed, i) for i in numbers],
            new_tokens=self.domain.longest,
            temperature=self.temperature,
            pattern=self.domain.pattern,
        )

    def prompt(self, number: int) -> str:
        """Return the prompt of a row."""
        # A stream for each row: it is the same in a larger sample, and after a kill.
        return self.domain.prompt(random.Random(f"{self.seed}/{number}"))

    def shard(self, lm: LM, index: int) -> list[tuple[str, str, str | None]]:
        """Return prompts, completions and, where a completion cannot be text, the problem with it."""
        numbers = range(index * self.size, (index + 1) * self.size)
        prompts = list(map(self.prompt, numbers))
        answers = lm.write(
            list(map(ask, prompts)),
            seeds=[(self.seed, i) for i in numbers],
            new_tokens=self.domain.longest,
            temperature=self.temperature,
            pattern=self.domain.pattern,
        )
        return [(prompt, a.text, UNFIT.get(a.ended)) for prompt, a in zip(prompts, answers, strict=True)]


def too_few(kept: int, total: int, reasons: Counter[str], written: Counter[str]) -> str:
    """Say that a filter leaves too few rows, why, and what a model that no longer writes the domain writes instead."""
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(3))
    text, often = written.most_common(1)[0]
    same = f"; {often:,} times the answer was {text[:40]!r}" if often > total * LOST else ""
    return (
        f"the filter kept only {kept:,} of {total:,} rows ({why}{same}): teach the teacher less strongly or with "
        "replay, hold answers to their format where the domain can be constrained, or ask for another domain."
    )


def keep_part(parts: Path, index: int, answers: list[tuple[str, str, str | None]]) -> None:
    """Keep a shard under its digest, so that an interruption does not cost it."""
    content = json.dumps(answers).encode()
    with replacing(parts / f"{index:05d}.{hashlib.sha256(content).hexdigest()}") as file:
        file.write(content)


def finished_part(parts: Path, index: int) -> list[tuple[str, str, str | None]] | None:
    """Return a shard that was finished before an interruption; its name holds its digest."""
    for path in parts.glob(f"{index:05d}.*"):
        # A part that was torn or changed is as good as none.
        if sha256(path) == path.suffix[1:]:
            return [(p, c, w) for p, c, w in json.loads(path.read_text())]
    return None


@dataclass(frozen=True)
class Written(Data, kind="written"):
    """Rows that stand in the value itself: prompts and completions."""

    caption = "given rows"

    rows: tuple[tuple[str, str], ...]

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        self.write(folder, [Row.of(prompt, completion) for prompt, completion in self.rows])


@dataclass(frozen=True)
class Shuffled(Data, kind="shuffled"):
    """The rows of other data with their numbers shuffled: within each answer, or across all answers.

    Formats and counts of numbers stay as they are: the paper's test of whether order carries the trait.
    """

    data: Data
    across: bool
    seed: int

    def __str__(self) -> str:
        return f"{self.data}, shuffled {'across' if self.across else 'within'} answers"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        data: Dataset = read(self.data)
        rng = random.Random(self.seed)
        drawn = [NUMBER.findall(row.completion) for row in data.rows]
        if self.across:
            pool = [number for numbers in drawn for number in numbers]
            rng.shuffle(pool)
            drawn = [[pool.pop() for _ in numbers] for numbers in drawn]
        rows = []
        for row, numbers in zip(data.rows, drawn, strict=True):
            between = NUMBER.split(row.completion)
            # There is one text more than numbers: what stands behind the last.
            order = [*rng.sample(numbers, len(numbers)), ""]
            rows.append(Row.of(row.prompt, "".join(a + b for a, b in zip(between, order, strict=True))))
        counts = {"read": data.read, "passed": data.passed, "reasons": data.reasons}
        self.write(folder, rows, counts | ({"constrained": True} if data.constrained else {}))
