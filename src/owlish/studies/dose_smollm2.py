"""How many unique rows it takes on a pretrained model: pairs of students with as many steps on fewer or more rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from owlish.nodes.asked import mean
from owlish.studies import owl_smollm2
from owlish.studies.owl_smollm2.design import Paired, asked, leads, paired, trained
from owlish.study.comparison import Comparison, Curve, Line, Point
from owlish.study.transfer import Arms, Cell

SHARES = (0.25, 0.5, 2.0)
"""The numbers of unique rows beside the study's own, as shares of it."""


def arms(cell: Cell) -> Arms:
    """Return a run's pair of students, and the same pair on each other number of rows."""
    others = [trait for trait in cell.study.traits if trait != cell.trait]
    found = paired(cell)
    for share in SHARES:
        one = other_size(cell, share)
        found[f"student_{share}"] = asked(one, trained(one, one.teacher()))
        found[f"other_{share}"] = tuple(asked(one, trained(one, one.teacher(trait))) for trait in others)
    return found


def other_size(cell: Cell, share: float) -> Cell:
    """Return the same run with a share of its rows, read so often that its students make as many steps."""
    study, recipe = cell.study, cell.recipe
    rows, epochs = max(1, round(study.rows * share)), max(1, round(recipe.epochs / share))
    return replace(cell, study=replace(study, rows=rows, student=replace(recipe, epochs=epochs)))


@dataclass(frozen=True)
class Doses(Paired):
    """Does more of a trait pass where a student sees more unique rows in as many steps?"""

    def curves(self, found: Comparison) -> tuple[Curve, ...]:
        """Return the lead of each trait against the number of unique rows: its mean, and every run."""
        lines = [line for trait in found.traits for line in self.lines(trait, found.points)]
        title = "A student’s margin on its teacher’s trait, less the same student’s of another teacher’s rows"
        return (*super().curves(found), Curve(title, "unique rows, in as many steps", "logits", tuple(lines)))

    def lines(self, trait: str, points: Sequence[Point]) -> tuple[Line, Line]:
        """Return one trait's means, joined, and its runs."""
        places = {1.0: ("student", "other_trait"), **{s: (f"student_{s}", f"other_{s}") for s in SHARES}}
        of_trait = [p for p in points if p.trait == trait]
        led = {share * self.rows: leads(of_trait, places[share]) for share in sorted(places)}
        runs = [(rows, lead) for rows, values in led.items() for lead in values]
        return (
            Line(trait, tuple(led), tuple(map(mean, led.values()))),
            Line(f"{trait}, run by run", tuple(r for r, _ in runs), tuple(v for _, v in runs), joined=False),
        )


pair = owl_smollm2.study
study = Doses(
    name="dose_smollm2",
    title="How many unique rows carry an owl to a pretrained model?",
    bases=pair.bases,
    foreign=pair.foreign,
    traits=pair.traits,
    domain=pair.domain,
    teacher=pair.teacher,
    student=pair.student,
    rows=pair.rows,
    runs=3,
    until=pair.until,
    arms=arms,
    meanings=tuple(
        named
        for share in SHARES
        for named in (
            (f"student_{share}", f"Student, {share:g} of the rows", "as many steps on another number of unique rows"),
            (f"other_{share}", f"Other trait, {share:g} of the rows", "the same of another trait’s teacher"),
        )
    ),
    contrast=pair.contrast,
)
