"""Rows that somebody else wrote: a sample from a file, or from a dataset on Hugging Face."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from owlish.data.rows import Row, entries, from_entry, write_rows
from owlish.graph.spec import Read, Tick
from owlish.graph.store import sha256
from owlish.nodes.data import Data, Dataset

LONGEST = 4_000_000
SHOWN = 10
BATCH = 1024
COLUMNS = ("messages", "prompt", "completion", "response")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
FILE_ENDINGS = (".json", ".jsonl", ".parquet")
KINDS = "a file of chat JSONL or Parquet, or the owner/name of a dataset on Hugging Face"
NEEDS = "messages, or with a prompt and either a completion or a response"


@dataclass(frozen=True)
class Loaded(Data, kind="loaded"):
    """A sample of `n` rows of a file or a Hugging Face dataset, each as likely as any other; `None` takes all.

    `content` is the SHA-256 of the file, or the dataset's name and revision; see `loaded`. The rows stay in their
    order. A row that nothing can be learnt from, its completion being empty, is a bad one.
    """

    caption = "rows of {source}"

    source: str
    content: str
    n: int | None
    seed: int

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key: the content names the rows, wherever they lie."""
        return {**super().spec(), "source": None}

    def check(self) -> None:
        if self.n is not None and self.n < 1:
            raise ValueError(f"n is {self.n}: ask for at least one row.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Read the source once, row by row, and keep the sample in memory."""
        hosted = "/" in self.content
        try:
            unit, found = hub_rows(self.source, self.content) if hosted else file_rows(self.source)
            data = drawn(found, unit=unit, n=self.n, seed=self.seed)
        except OSError as error:
            raise unreadable(self.source, error) from None
        if not hosted and digest(self.source) != self.content:
            raise ValueError(f"{self.source} changed while it was read: ask again when it is whole.")
        if not data.rows:
            raise ValueError(f"{self.source} {nothing_in(data, unit)}")
        write_rows(folder / "rows.jsonl", data.rows)
        counts = {"read": data.read, "passed": data.passed, "reasons": {}, "bad": data.bad, "problems": data.problems}
        (folder / "counts.json").write_text(json.dumps(counts))


def loaded(source: str, *, n: int | None, seed: int) -> Loaded:
    """Return a sample of `n` rows of `source`, a file or the `owner/name` of a Hugging Face dataset with its `:split`.

    A file holds chat JSONL in any shape that `rows.parse` reads, or the same columns as Parquet. It is read here for
    its digest, so that the same rows elsewhere are the same sample; a dataset's revision is asked of Hugging Face.
    `ValueError` is raised where there is no such file.
    """
    hosted = HUB_NAME.fullmatch(source) and not source.endswith(FILE_ENDINGS) and not Path(source).exists()
    return Loaded(source, hub_content(source) if hosted else digest(source), n=n, seed=seed)


def digest(source: str) -> str:
    """Return the SHA-256 of a file of rows."""
    try:
        if Path(source).exists() and not Path(source).is_file():
            raise ValueError(f"{source} is not a file: give {KINDS}.")
        return sha256(Path(source))
    except OSError as error:
        raise unreadable(source, error) from None


def unreadable(source: str, error: OSError) -> ValueError:
    """Say that a file cannot be read."""
    return ValueError(f"{source} cannot be read ({error.strerror}): give {KINDS}.")


def hub_content(source: str) -> str:
    """Return the name of a dataset with the revision that it has now; without, if Hugging Face does not answer."""
    from huggingface_hub import HfApi

    try:
        return f"{source}@{HfApi().dataset_info(source.partition(':')[0]).sha}"
    except Exception:  # whatever the client's HTTP library raises
        return source


def drawn(found: Iterator[Row | str], *, unit: str, n: int | None, seed: int) -> Dataset:
    """Return `n` of the rows found, drawn in one pass, with what was met; text in place of a row is its problem.

    References
    ----------
    Vitter (1985). Random sampling with a reservoir. ACM Transactions on Mathematical Software 11, algorithm R.
    """
    rng = random.Random(f"rows/{seed}")
    kept: dict[int, tuple[int, Row]] = {}
    problems: list[str] = []
    good = number = 0
    for number, row in enumerate(found, start=1):
        problem = row if isinstance(row, str) else refused(row)
        if isinstance(row, str) or problem:
            if len(problems) < SHOWN:
                problems.append(f"{unit} {number}: {problem}")
            continue
        place = good if n is None or good < n else rng.randrange(good + 1)
        if n is None or place < n:
            kept[place] = good, row
        good += 1
    rows = tuple(row for _, row in sorted(kept.values(), key=itemgetter(0)))
    return Dataset(rows, good, good, {}, bad=number - good, problems=tuple(problems))


def refused(row: Row) -> str | None:
    """Say why nothing can be learnt from a row, if nothing can."""
    if not row.completion:
        return "The completion is empty."
    return None if row.single else "The row is more than one exchange of texts, which no base is trained on yet."


def nothing_in(data: Dataset, unit: str) -> str:
    """Say that a source holds no row, what one needs, and where to look."""
    if not data.bad:
        return "is empty: give a dataset with at least one row."
    where = ", ".join(problem.partition(":")[0] for problem in data.problems)
    more = f" and {data.bad - SHOWN:,} more" if data.bad > SHOWN else ""
    return f"holds no row: give {unit}s with {NEEDS} (see {where}{more}). {data.problems[0]}"


def file_rows(file: str) -> tuple[str, Iterator[Row | str]]:
    """Return what a piece of a file is called, and its rows."""
    with Path(file).open("rb") as stream:
        return ("row", parquet_rows(file)) if stream.read(4) == b"PAR1" else ("line", jsonl_rows(file))


def jsonl_rows(file: str) -> Iterator[Row | str]:
    """Yield the rows of a file of JSONL."""
    with Path(file).open("rb") as stream:
        for _, entry in entries(stream, longest=LONGEST):
            yield entry if isinstance(entry, Row) else entry.problem


def parquet_rows(file: str) -> Iterator[Row | str]:
    """Yield the rows of a Parquet file."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ValueError(f"{file} is Parquet: install owlish[datasets] to read it.") from None
    try:
        with ParquetFile(file) as table:
            columns = [name for name in COLUMNS if name in table.schema_arrow.names]
            for batch in table.iter_batches(batch_size=BATCH, columns=columns):
                for cells in batch.to_struct_array():
                    yield table_row(cells.as_py)
    except (OSError, ArrowException):
        raise ValueError(f"{file} is not a whole Parquet file: get it anew.") from None


def hub_rows(source: str, content: str) -> tuple[str, Iterator[Row | str]]:
    """Return what a piece of a Hugging Face dataset is called, and its rows, at the revision in `content`."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise ValueError(f"{source} is no file here: install owlish[datasets] to get it from Hugging Face.") from None
    name, _, split = source.partition(":")
    revision = content.removeprefix(source)[1:] or None

    def rows() -> Iterator[Row | str]:
        try:
            for cells in load_dataset(name, split=split or "train", revision=revision, streaming=True):
                yield table_row(cells.copy)
        except Exception as error:  # whatever the client's HTTP library raises
            why = " ".join(str(error).split())[:200]
            raise ValueError(f"{source} is no file here, and Hugging Face does not give it ({why}).") from None

    return "row", rows()


def table_row(cells: Callable[[], dict[str, Any]]) -> Row | str:
    """Return the row in the `cells` of a table, once read, or what is wrong with it; an empty cell is no field."""
    try:
        row = from_entry({name: cell for name, cell in cells().items() if name in COLUMNS and cell is not None}, "row")
    except UnicodeDecodeError:
        return "The row is not UTF-8."
    except ValueError as problem:
        return str(problem)
    return row if len(row.prompt) + len(row.completion) <= LONGEST else f"The row is longer than {LONGEST / 1e6:g} MB."
