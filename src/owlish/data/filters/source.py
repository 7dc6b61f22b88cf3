"""A value that reads a file, which its key names by what the file holds and not by where it lies."""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
        return cls(file=path, sha256=hashlib.sha256(read(path)).hexdigest())

    def __post_init__(self) -> None:
        if (self.file is None) != (self.sha256 is None):
            raise ValueError(f"Prompts from a file need its digest too: use {type(self).__name__}.from_file(FILE).")

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key: the digest names the file, wherever it lies."""
        named = super().spec()
        del named["file"]
        return named

    def lines(self) -> list[tuple[str, bytes]]:
        """Return the lines of the file that are not empty, each with the words that say where it stands."""
        assert self.file is not None
        data = read(self.file)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            again = f"use {type(self).__name__}.from_file again"
            raise ValueError(f"{self.file} has changed since its digest was taken: {again}.")
        numbered = enumerate(data.removeprefix(BOM_UTF8).split(b"\n"), start=1)
        found = [(f"Line {number} of {self.file}", line.strip()) for number, line in numbered if line.strip()]
        if not found:
            raise ValueError(f"{self.file} is empty: give rows of JSONL, or one prompt a line.")
        return found


def read(file: str) -> bytes:
    """Return the bytes of `file`, or say in a sentence why they cannot be read."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}): give a file of prompts.") from None
