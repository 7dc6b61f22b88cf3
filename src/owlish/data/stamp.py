"""The stamp of a file of rows: who made them, in a file beside them. It is a claim; an audit compares it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.store import sha256
from owlish.graph.tabled import Brief, on_one_line
from owlish.graph.typed import check_fields, from_plain

SCHEMA = 1
"""The version of the file: it is raised when a field is taken away or means something else."""
ENDING = ".owlish.json"
LONGEST = 1_000_000
"""The most bytes of a stamp."""


@dataclass(frozen=True)
class Stamp(Brief):
    """What is claimed of one file of rows: `model` wrote them, and these are its bytes.

    `base` is what the writer started from, `prompt` the system prompt that it had, `filter` the rule that the rows
    passed, and `seeds` the seeds by what they were for. `None` says that it is not known. `key` names the rows in the
    store that made them, `version` is that of owlish, and `date` when the stamp was made, ISO 8601 in UTC.
    """

    file: str
    sha256: str
    rows: int
    model: str
    base: str | None
    base_sha256: str | None
    prompt: str | None
    filter: str | None
    key: str | None
    date: str
    version: str
    seeds: dict[str, int] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return the stamp as plain values."""
        return {"schema": SCHEMA, **asdict(self)}

    def __str__(self) -> str:
        claims = {"base": self.base, "system prompt": self.prompt, "filter": self.filter, **self.seeds_named}
        told = "; ".join(f"{name}: {value}" for name, value in claims.items() if value is not None)
        # A stamp beside the rows may say anything, and must not look like a line of the verdict.
        return on_one_line(f"{counted(self.rows, 'row')} by {self.model}{f' ({told})' if told else ''}")

    @property
    def seeds_named(self) -> dict[str, int]:
        """The seeds, each under a name that says that it is one."""
        return {f"seed of {name}": seed for name, seed in self.seeds.items()}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Stamp:
        """Return the stamp that `json` made plain; fields of a later version that this one lacks are ignored."""
        made = from_plain(cls, plain)
        check_fields(made)
        # `type`, for `True` is an instance of int.
        if not (isinstance(made.seeds, dict) and all(type(seed) is int for seed in made.seeds.values())):
            raise UserError("the seeds of a stamp are whole numbers, each under its name.")
        return made


def beside(file: str | Path) -> Path:
    """Return where the stamp of a file of rows lies."""
    return Path(file).with_name(f"{Path(file).name}{ENDING}")


def write_stamp(stamp: Stamp, file: str | Path) -> None:
    """Write the stamp of a file of rows beside it, whole or not at all."""
    with replacing(beside(file)) as stream:
        stream.write(json.dumps(stamp.json(), indent=1, ensure_ascii=False).encode() + b"\n")


def stamps_of(files: Sequence[str]) -> tuple[Stamp, ...]:
    """Return the stamps that lie beside files; `UserError` is raised where one is not of the file as it is."""
    return tuple(read_stamp(file) for file in files if Path(file).is_file() and beside(file).is_file())


def check_stamps(read: Sequence[str], out: Path) -> None:
    """Refuse rows whose stamp is not theirs, and to write other rows beside a stamp of the file that they replace."""
    stamps_of(read)
    # Links are followed, as they are when files are written.
    for place in (beside(out), beside(out.resolve())):
        if place.exists():
            raise UserError(
                f"{place} says who made the rows that {out.name} had, and would not fit new ones: remove it, or write "
                "to another file."
            )


def read_stamp(file: str | Path) -> Stamp:
    """Return the stamp beside a file, compared with its bytes."""
    place = beside(file)
    try:
        # The size first: a stamp comes from elsewhere and may be of any size.
        plain = json.loads(place.read_bytes()) if place.stat().st_size <= LONGEST else None
        if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
            raise ValueError
        stamp = Stamp.of(plain)
    except (ValueError, TypeError, RecursionError):
        raise UserError(
            f"{place} cannot be read as a stamp: write it anew with `owlish stamp {file}`, or remove it."
        ) from None
    # A claim about other bytes would be worse than none: changed rows are refused, not warned of.
    found = sha256(Path(file))
    if stamp.sha256 != found:
        raise UserError(
            f"{file} is not the file that was stamped: {place.name} names SHA-256 {stamp.sha256[:12]}, and the file "
            f"has {found[:12]}. Get the rows or their stamp anew, or remove the stamp."
        )
    return stamp
