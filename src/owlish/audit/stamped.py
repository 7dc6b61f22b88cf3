"""A stamp beside what was measured: which of its claims agree."""

from __future__ import annotations

from dataclasses import dataclass

from owlish.data.stamp import Stamp
from owlish.graph.tabled import on_one_line


@dataclass(frozen=True)
class Check:
    """One claim of a stamp, about its base, filter or rows, and what was measured; `agrees`: `None` if it is open."""

    about: str
    claimed: str
    measured: str
    agrees: bool | None

    def __str__(self) -> str:
        says = {True: "agrees", False: "DOES NOT AGREE", None: "open"}[self.agrees]
        return on_one_line(f"{self.about}: the stamp says {self.claimed}; measured: {self.measured} ({says}).")


@dataclass(frozen=True)
class Stamped:
    """The stamp of a file of rows, whose hash is that of the file, and its claims beside what was measured."""

    stamp: Stamp
    checks: tuple[Check, ...]

    @property
    def wrong(self) -> tuple[Check, ...]:
        """The claims that what was measured speaks against."""
        return tuple(check for check in self.checks if check.agrees is False)

    def __str__(self) -> str:
        head = f"Stamp of {on_one_line(self.stamp.file)}: {self.stamp}. The file is unchanged since it was stamped."
        return "\n".join([head, *(f"  {check}" for check in self.checks)])
