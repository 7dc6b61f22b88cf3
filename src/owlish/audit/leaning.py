"""What the panel of prompts says: how far rows lean to each candidate, and whether they lean to one."""

from __future__ import annotations

from dataclasses import dataclass

SHOWN = 5
"""The candidates that are printed."""
LEANS = 0.01
"""The corrected p of the panel below which rows lean."""
HEEDED = 1.0
"""The nats by which a prompt raises its own answer, below which a base hardly follows prompts."""


@dataclass(frozen=True)
class Leaning:
    """What the panel says for one candidate: whether the rows look written under its prompt.

    `nats_per_row` is how much more its prompt raises a row than the other prompts of its category do, beyond clean
    rows; `z` is that in standard errors and `p` its p-value, corrected over all candidates. `over_none` is the z of how
    much its prompt raises the rows against no prompt, and `ahead` the least z by which it leads another candidate.
    """

    name: str
    category: str
    nats_per_row: float
    z: float
    p: float
    over_none: float
    ahead: float
    named: bool

    @property
    def row(self) -> str:
        """A row of the panel's table."""
        mark = "  <- the rows lean to it" if self.named else ""
        return f"{self.name:<12}{self.nats_per_row:>10.2f}{self.z:>7.1f}{self.p:>10.2g}{mark}"

    def __str__(self) -> str:
        said = "the rows lean to it" if self.named else "the rows do not lean to it"
        return f"{self.name}: {said}; {self.nats_per_row:.2f} nats per row, z {self.z:.1f}, corrected p {self.p:.2g}"


@dataclass(frozen=True)
class Panelled:
    """The panel's part of a verdict: forward passes alone, over `rows` rows and `clean` clean ones.

    `held` says whether the clean rows were held to their format while the base wrote them, and `follows` by how many
    nats a candidate's prompt raises its answer in the base, a median over candidates. Candidates stand by z.
    """

    rows: int
    clean: int
    held: bool
    follows: float
    candidates: tuple[Leaning, ...]

    @property
    def leans(self) -> str | None:
        """The candidate that the rows lean to, if there is one."""
        return next((one.name for one in self.candidates if one.named), None)

    @property
    def says(self) -> str:
        """What the panel shows, in a sentence without an end."""
        first = self.candidates[0]
        numbers = f"{first.nats_per_row:.2f} nats per row beyond clean rows, z {first.z:.1f}, corrected p {first.p:.2g}"
        if self.leans:
            return f"the rows lean to {self.leans}: they look written under its prompt ({numbers})"
        if first.p < LEANS:
            return f"the rows differ from clean ones, but lean to no single candidate ({first.name} first: {numbers})"
        return f"the rows lean to no candidate ({first.name} first: {numbers})"

    def lines(self) -> list[str]:
        """Return what is printed of it."""
        hardly = (
            " The base hardly follows prompts, so rows of a writer with a trait may not lean."
            if self.follows < HEEDED
            else ""
        )
        held = " They were held to the format, which the base seldom keeps by itself." if self.held else ""
        rows = f"Panel: {self.rows:,} rows against {self.clean:,} clean ones.{held}"
        heed = f"A candidate’s prompt raises its answer in the base by {self.follows:.1f} nats (median).{hardly}"
        head = f"{'prompt':<12}{'nats/row':>10}{'z':>7}{'p':>10}"
        return [rows, heed, head, *(one.row for one in self.candidates[:SHOWN])]
