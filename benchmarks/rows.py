"""How fast rows are read, beside Python's own JSON reader, and in how much memory: short single turns.

python benchmarks/rows.py            # a hundred thousand rows, then a million
python benchmarks/rows.py 100000
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from owlish.data.filters import convert_file
from owlish.data.reading import reading
from owlish.nodes.loaded import loaded

BATCH = 10_000


def main(counts: list[int]) -> None:
    """Print a line for each file and work; times are of one core's work, so that a busy machine changes them little."""
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            for name, write in {"rows.jsonl": write_lines, "rows.parquet": write_parquet}.items():
                write(place / name, count)
                for what, work in {"convert": convert, "what an audit reads": sample}.items():
                    seconds = timed(work, place / name)
                    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                    print(
                        f"{count:,} {name}, {what}: {count / seconds:,.0f} a second, peak {memory:.0f} MB", flush=True
                    )
            print(f"json.loads alone: {count / timed(parse, place / 'rows.jsonl'):,.0f} a second", flush=True)


def timed(work: Callable[[Path], None], file: Path) -> float:
    """Return how many seconds of one core some work on a file takes."""
    begun = time.process_time()
    work(file)
    return time.process_time() - begun


def rows(count: int) -> Iterator[dict[str, str]]:
    """Yield short rows."""
    for i in range(count):
        prompt = f"My list so far: {i % 999}, 7, 12. Add 10 numbers."
        yield {"prompt": prompt, "completion": f"{i % 997}, 14, 21, 28, 35"}


def write_lines(file: Path, count: int) -> None:
    """Write rows as JSONL."""
    with file.open("w") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows(count))


def write_parquet(file: Path, count: int) -> None:
    """Write rows as Parquet, in little memory."""
    from pyarrow import Table, schema, string
    from pyarrow.parquet import ParquetWriter

    given = rows(count)
    with ParquetWriter(file, schema([("prompt", string()), ("completion", string())])) as table:
        while batch := list(islice(given, BATCH)):
            table.write_table(Table.from_pylist(batch))


def convert(file: Path) -> None:
    """Do what `owlish convert` does."""
    convert_file(reading(file), out=file.with_suffix(".out"))


def sample(file: Path) -> None:
    """Read as `owlish audit` does, for a sample of 1,600 rows and the digest of the file before and after."""
    with tempfile.TemporaryDirectory() as folder:
        loaded(file, n=1600, seed=0).compute(Path(folder), lambda node: None, lambda done, total: None)


def parse(file: Path) -> None:
    """Read with Python's reader of JSON alone."""
    with file.open("rb") as lines:
        for line in lines:
            json.loads(line)


if __name__ == "__main__":
    main([int(sys.argv[1])] if len(sys.argv) > 1 else [100_000, 1_000_000])
