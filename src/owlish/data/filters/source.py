"""A value that reads a file, which its key names by what the file holds and not by where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from owlish.data.given import digest
from owlish.data.records import records
from owlish.data.sources.format import Entry, fields_of
from owlish.graph.errors import UserError
from owlish.graph.spec import Value


@dataclass(frozen=True, kw_only=True)
class FromFile(Value):
    """A value that may read `file`, whose digest must be `sha256`. `from_file` makes one."""

    file: str | None = None
    sha256: str | None = None

    @classmethod
    def from_file(cls, file: str | Path) -> Self:
        """Return the value that reads `file`."""
        path = str(Path(file).resolve())
        return cls(file=path, sha256=digest(path))

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.file is None) != (self.sha256 is None):
            raise UserError(f"Prompts from a file need its digest too: use {type(self).__name__}.from_file(FILE).")

    def spec(self) -> dict[str, Any]:
        named = super().spec()
        # The digest is in the key, and the path is not: the same file elsewhere makes the same rows.
        del named["file"]
        return named

    def pieces(self) -> list[tuple[str, bytes | None, Entry | str]]:
        """Return what the file holds, each piece with the words that say where it stands, empty lines left out."""
        assert self.file is not None
        # Rows under a key must come from the file that the key names.
        if digest(self.file) != self.sha256:
            again = f"use {type(self).__name__}.from_file again"
            raise UserError(f"{self.file} has changed since its digest was taken: {again}.")
        # No header: the first line of a file of prompts may look like one.
        held = records(self.file, lambda header: False, fields_of())
        numbered = enumerate(held.pieces, start=1)
        found = [
            (f"{held.unit.capitalize()} {number} of {self.file}", line, entry)
            for number, (line, entry) in numbered
            if line is None or line.strip()
        ]
        if not found:
            raise UserError(f"{self.file} is empty: give rows, or one prompt per line.")
        return found
