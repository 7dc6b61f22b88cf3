"""How fast rows are read: a file of short single turns, beside Python's own JSON reader on the same lines.

python benchmarks/rows.py            # a million rows in two formats
python benchmarks/rows.py 100000
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from owlish.data.reading import reading
from owlish.data.rows import Row, line_of


def main(count: int) -> None:
    """Print one line per format; times are of one core's work, so that a busy machine changes them little."""
    with tempfile.TemporaryDirectory() as folder:
        for name, write in {"chat messages": line_of, "prompt and completion": flat}.items():
            file = Path(folder) / "rows.jsonl"
            with file.open("wb") as stream:
                stream.writelines(map(write, rows(count)))
            plain, own = parsing(file), owlish(file)
            rates = f"{count / own:,.0f} rows per second, json.loads alone {count / plain:,.0f}"
            print(f"{name}: {rates}, {own / plain:.2f} times as long")


def rows(count: int) -> Iterator[Row]:
    """Yield short rows."""
    for i in range(count):
        yield Row.of(f"My list so far: {i % 999}, 7, 12. Add 10 numbers.", f"{i % 997}, 14, 21, 28, 35")


def flat(row: Row) -> bytes:
    """Return a row as a line with a prompt and a completion."""
    return json.dumps({"prompt": row.prompt, "completion": row.completion}).encode() + b"\n"


def parsing(file: Path) -> float:
    """Return how many seconds Python's reader of JSON takes for a file."""
    begun = time.process_time()
    with file.open("rb") as lines:
        for line in lines:
            json.loads(line)
    return time.process_time() - begun


def owlish(file: Path) -> float:
    """Return how many seconds it takes to read the file's rows."""
    begun = time.process_time()
    for _ in reading(file).rows():
        pass
    return time.process_time() - begun


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
