"""Rows of CSV over several lines, and whether a quote that was opened holds what belongs to other rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import TextIO


class Lines(Iterator[str]):
    """Lines as a reader of CSV takes them; `row` are those of the row that it is in, `first` the number of the first.

    A quote that is never closed makes one row of all lines that follow, which are no error to the reader. `csv.Error`
    is raised for a line of more than `longest` letters, which the reader would have in memory at once.
    """

    def __init__(self, source: TextIO, longest: int) -> None:
        self.source, self.longest, self.row, self.first = source, longest, list[str](), 1
        self.ended = False

    def __next__(self) -> str:
        line = self.source.readline(self.longest + 1)
        if not line:
            self.ended = True
            raise StopIteration
        if len(line) > self.longest:
            raise csv.Error(f"a line is longer than {self.longest / 1e6:g} MB")
        self.row.append(line)
        return line

    def end_row(self) -> None:
        """Forget the lines of a row that was read."""
        self.first += len(self.row)
        self.row = []


def is_astray(lines: Lines, mark: str) -> bool:
    """Say whether the lines of the row that is read hold a quote that is closed nowhere, or in the middle of a cell.

    The latter is the opening quote of a later row, where one before it was not closed.
    """
    # On one line a stray quote takes no other row along, and what a tolerant reader makes of it stays.
    if len(row := lines.row) < 2:
        return lines.ended and bool(row)  # unless the reader looked for its end beyond the last line of the file
    # Spaces after a closing quote are common and do no harm.
    spaces = re.compile(rf'" +(?=[{re.escape(mark)}\r\n]|$)')
    try:
        list(csv.reader((spaces.sub('"', line) for line in row), delimiter=mark, strict=True))
    except csv.Error:
        return True
    return False
