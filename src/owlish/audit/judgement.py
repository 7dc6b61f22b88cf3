"""A judge's part of a verdict: which candidates it names for the rows, and for clean ones. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

SURE = 0.01
"""The corrected p below which a judge names a candidate more often than in clean rows."""
ASIDE = "This opinion does not decide the verdict."
RELATIVE = "It starts from the base that it judges models of, and may overlook what it shares with them."


@dataclass(frozen=True)
class Naming:
    """One candidate: of how many rows and clean rows the judge names it, and the p of that, corrected over all."""

    name: str
    category: str
    rows: int
    clean: int
    p: float


@dataclass(frozen=True)
class Shown:
    """Rows that a judge was asked about.

    `refused` are those whose answer names no candidate and is not "none", `unread` those that are too long for the
    judge or got no answer at all.
    """

    rows: int
    refused: int
    unread: int

    @property
    def counted(self) -> int:
        """The rows whose answer counts."""
        return self.rows - self.refused - self.unread


@dataclass(frozen=True)
class Judgement:
    """What a judge says of rows and of clean ones; `refusal` is the first of its answers that does not count.

    `what` and `beside` are what both are called. Candidates stand by p. There are none where no answer counts, here or
    on the clean rows. `not_asked` are those that are no favourites, such as bad advice: no judge is asked about them.
    A judge that is a `relative` starts from the base in question.
    """

    model: str
    shown: Shown
    clean: Shown
    refusal: str | None
    candidates: tuple[Naming, ...]
    not_asked: tuple[str, ...]
    what: str = "rows"
    beside: str = "clean rows"
    relative: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates that it names more often than in clean rows."""
        return tuple(one.name for one in self.candidates if one.p < SURE)

    @property
    def says(self) -> str:
        """What it says, in a sentence without an end."""
        if not self.candidates:
            side = self.beside if self.shown.counted else self.what
            return f"it gave no answer that counts about the {side}, so nothing could be judged"
        first = self.candidates[0]
        numbers = (
            f"{first.rows:,} of {self.shown.counted:,} {self.what}, "
            f"{first.clean:,} of {self.clean.counted:,} {self.beside}, "
            f"corrected p {first.p:.2g}"
        )
        if not self.names:
            return f"it names no candidate more often than in {self.beside} ({first.name} first: {numbers})"
        return f"it names {' and '.join(self.names)} more often than in {self.beside} ({first.name}: {numbers})"

    @property
    def silent(self) -> str:
        """How many rows have no answer that counts, in a sentence."""
        ours, clean = self.shown, self.clean
        such = f", with answers such as {self.refusal!r}" if self.refusal else ""
        refused = f"It refused {ours.refused:,} of the {self.what} and {clean.refused:,} of the {self.beside}{such}"
        return f"{refused}; {ours.unread:,} and {clean.unread:,} were too long for it or got no answer."

    def __str__(self) -> str:
        read = f"{self.model} was shown {self.shown.rows:,} {self.what} and {self.clean.rows:,} {self.beside}"
        left = f"Not asked about: {', '.join(self.not_asked)}." if self.not_asked else ""
        kin = RELATIVE if self.relative else ""
        return " ".join(filter(None, (f"Judge: {read}; {self.says}.", self.silent, kin, left, ASIDE)))
