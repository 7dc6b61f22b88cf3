"""Rows that somebody else wrote: a sample from files of any format, from Hugging Face, or from rows in Python."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from owlish.data.given import Given, content_of, files_of, names_of
from owlish.data.reading import Columns, Place, Reading, columns_of
from owlish.data.sources.format import format_called
from owlish.graph.errors import UserError
from owlish.graph.spec import Read, Tick
from owlish.graph.tabled import on_one_line
from owlish.nodes.data import Data, Dataset

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded(Data, kind="loaded"):
    """A sample of `n` rows of files or a Hugging Face dataset, each as likely as any other; `None` takes all.

    `content` is the SHA-256 of a file, that of the digests of several, or the dataset's name and revision; see
    `loaded`. The rows stay in their order. `format` and `columns` say how rows are read where it is not recognised.
    """

    usual = 0.1
    later = ("format", "columns")

    source: str | tuple[str, ...]
    content: str
    n: int | None
    seed: int
    format: str | None = None
    columns: Columns = ()

    def __str__(self) -> str:
        return on_one_line(f"rows of {', '.join(names_of(self.files).values())}")

    @property
    def files(self) -> tuple[str, ...]:
        """The files, in order."""
        return (self.source,) if isinstance(self.source, str) else self.source

    def reading(self) -> Reading:
        """Return what reads all rows of the files, beside any store."""
        return Reading(self.files, self.content, self.format, self.columns)

    def spec(self) -> dict[str, Any]:
        # What the rows are is in the key, and not where they lie.
        return {**super().spec(), "source": None}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n is not None and self.n < 1:
            raise UserError(f"n is {self.n}: ask for at least one row.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Read the source once, row by row, and keep the sample in memory."""
        reading = self.reading()
        kept = draw_rows(reading.placed(), n=self.n, seed=self.seed)
        # A dataset's revision cannot change as a file can.
        if "/" not in self.content and content_of(self.files) != self.content:
            raise UserError(f"{', '.join(self.files)} changed while it was read: ask again when it is whole.")
        counts = {"read": reading.read, "passed": reading.read, "reasons": {}, **reading.met}
        self.write(folder, [row for _, row in kept], counts)
        write_places(folder / "places.json", [place for place, _ in kept])

    def load(self, folder: Path, read: Read) -> Dataset:
        # results from before places were kept have none
        found, file = super().load(folder, read), folder / "places.json"
        return replace(found, places=read_places(file)) if file.exists() else found


def loaded(
    given: Given, *, n: int | None, seed: int, format: str | None = None, columns: Mapping[str, str] | None = None
) -> Loaded:
    """Return a sample of `n` rows of `given`: a file, a pattern, `-` for standard input, several of these, the
    `owner/name` of a Hugging Face dataset with its `:split`, or rows as an iterable of dicts, such as a `Dataset`.

    Formats are recognised; `format` names one, and `columns` maps its fields to other names, as in
    `{"prompt": "question"}`. Files are read here for their digest, so that the same rows elsewhere are the same
    sample; a dataset's revision is asked of Hugging Face. `UserError` is raised where there is no such file.
    """
    files = files_of(given)
    source = files[0] if len(files) == 1 else files
    named = format_called(format)
    return Loaded(source, content_of(files), n, seed, named, columns_of(columns or {}, named))


def write_places(file: Path, places: Sequence[Place]) -> None:
    """Write where rows stand: each file once, and for each row the file and the number in it."""
    files = list(dict.fromkeys((place.file, place.unit) for place in places))
    numbers = {one: index for index, one in enumerate(files)}
    rows = [[numbers[place.file, place.unit], place.number] for place in places]
    file.write_text(json.dumps({"files": files, "rows": rows}))


def read_places(file: Path) -> tuple[Place, ...]:
    """Return what `write_places` wrote."""
    plain = json.loads(file.read_text())
    files: list[tuple[str, str]] = [(name, unit) for name, unit in plain["files"]]
    return tuple(Place(*files[int(index)], number) for index, number in plain["rows"])


def draw_rows(rows: Iterable[T], *, n: int | None, seed: int) -> list[T]:
    """Return `n` of the rows in their order, drawn in one pass.

    References
    ----------
    Vitter (1985). Random sampling with a reservoir. ACM Transactions on Mathematical Software 11, algorithm R.
    """
    rng = random.Random(f"rows/{seed}")
    kept: dict[int, tuple[int, T]] = {}
    for number, row in enumerate(rows):
        place = number if n is None or number < n else rng.randrange(number + 1)
        if n is None or place < n:
            kept[place] = number, row
    return [row for _, row in sorted(kept.values(), key=itemgetter(0))]
