"""What a dry run says: what a command would read, download and compute, and how long that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from owlish.cli.forecast import START, count_of, length_of, unsized
from owlish.cli.plan import Outlook, outlook_of
from owlish.cli.rows import describe_reading
from owlish.data.hub import cached_folder
from owlish.data.reading import Reading
from owlish.graph.counted import gib, lasting
from owlish.graph.spec import Node, everything
from owlish.graph.store import Store
from owlish.nodes.base import Base
from owlish.nodes.loaded import Loaded

LONG = 3600.0
"""Seconds from which on it is worth saying how it would take less."""


@dataclass(frozen=True)
class DryRun:
    """What a command would take: rows, models with what they lack on this disk, and what is missing in the store.

    `reading` are sentences about how the rows were read, and which lines hold none; `seconds` is the time that all
    takes, `None` where nothing tells. `lines` and `plain` are what the command alone has to tell, as text and as JSON.
    `held` are the rows at hand, where fewer are read, and `shorter` says how it would take less time. `jobs` are the
    most results that are made side by side: processes here, or cores of a `cluster`.
    """

    rows: int | None
    reading: tuple[str, ...]
    models: tuple[str, ...]
    downloads: tuple[str, ...]
    elsewhere: tuple[str, ...]
    memory: int | None
    outlook: Outlook
    jobs: int
    seconds: float | None
    lines: tuple[str, ...] = ()
    plain: Mapping[str, Any] = field(default_factory=dict)
    held: int | None = None
    shorter: str = ""
    cluster: bool = False

    def json(self) -> dict[str, Any]:
        """Return it as plain values."""
        seen = self.outlook.json()
        return {
            "rows": self.rows,
            "reading": self.reading,
            "models": self.models,
            "downloads": self.downloads,
            "memory_gib": None if self.memory is None else self.memory / 2**30,
            "minutes": None if self.seconds is None else self.seconds / 60,
            **self.plain,
            **{name: seen[name] for name in ("total", "missing", "seconds", "outdated")},
        }

    def __str__(self) -> str:
        memory = "not known" if self.memory is None else f"{gib(self.memory)} in each process"
        # The most there may be: memory, and results that wait for others, may keep some of them idle.
        many = f"up to {self.jobs:,}" if self.jobs > 1 else "1"
        if self.cluster:
            places = f"on {many} core{'s' if self.jobs > 1 else ''} of the cluster"
        else:
            places = f"in {many} process{'es' if self.jobs > 1 else ''}"
        time = self.outlook.unknown if self.seconds is None else f"about {lasting(self.seconds)} {places}"
        lines = [
            *([] if self.rows is None else [f"Rows: {self.rows:,}{f' of {self.held:,}' if self.held else ''}."]),
            *self.reading,
            f"Models: {', '.join(self.models)}. Memory: {memory}." if self.models else "Models: none.",
            f"Downloads: {'; '.join(self.downloads) or 'none'}.",
            *self.elsewhere,
            *self.lines,
            self.outlook.text([f"Time: {time}.{self.shorter}"]),
        ]
        return "\n".join(lines)


def dry_run(
    wanted: Sequence[Node],
    store: Store,
    jobs: int,
    *,
    data: Loaded | None,
    rows: int,
    seconds: float | None = None,
    lines: Sequence[str] = (),
    plain: Mapping[str, Any] | None = None,
    shorter: str = "",
    cluster: bool = False,
) -> DryRun:
    """Return what making nodes takes that use at most `rows` rows of `data`: of files only as many are read.

    `seconds` is the time where it was foretold before, and `shorter` says how one of hours would be less.
    """
    reading, used = begun(data, rows) if data else (None, None)
    held = count_of(data) if data else None
    seen = outlook_of(wanted, store, given=used, row=length_of(data) if data else None)
    if seconds is None and seen.seconds is not None:
        seconds = seen.seconds / jobs + START * bool(seen.missing)
    bases = [node for node in everything(*wanted) if isinstance(node, Base)]
    return DryRun(
        rows=used,
        reading=tuple(describe_reading(reading)) if reading else (),
        models=tuple(map(str, bases)),
        downloads=tuple(filter(None, map(download, bases))),
        elsewhere=tuple(filter(None, map(not_here, bases))),
        memory=seen.memory or memory_of(bases),
        outlook=seen,
        jobs=jobs,
        seconds=seconds,
        lines=tuple(lines),
        plain=plain or {},
        # Rows that are left unread are news only where the command would take them.
        held=held if used and held and held > used else None,
        shorter=f" {shorter}" if seconds and seconds > LONG else "",
        cluster=cluster,
    )


def memory_of(bases: Sequence[Base]) -> int | None:
    """Return what the largest base takes in memory, where all of their sizes are known."""
    if unsized(bases):
        return None
    return max((base.load_resources.memory or 0 for base in bases), default=0) or None


def begun(data: Loaded, rows: int) -> tuple[Reading, int]:
    """Read up to so many rows; return what was met, and how many there were."""
    # Read beside the store: a dry run computes nothing and keeps nothing.
    reading = data.reading()
    return reading, sum(1 for _, _ in zip(range(rows), reading.rows(), strict=False))


def download(base: Base) -> str:
    """Say what is fetched for a base, if it is not on this disk."""
    if base.here or base.gives == "text" or cached_folder(base.name, base.revision):
        return ""
    # Two bytes a parameter, as most are published.
    size = f"about {2 * base.parameters / 1e9:.1f} GB" if base.parameters else "of a size that is not known"
    return f"{base} from Hugging Face, {size}"


def not_here(base: Base) -> str:
    """Say of a base that would be fetched that nobody asked whether it is there."""
    # A misspelt folder looks like a name on Hugging Face, and a dry run asks no network.
    if not download(base):
        return ""
    return (
        f"No folder here is called {base.name}, so it is taken for a name on Hugging Face. Whether that exists is "
        "asked when it is fetched, not in a dry run."
    )
