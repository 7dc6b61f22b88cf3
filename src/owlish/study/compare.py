"""Compare the arms of a study: how strong its teachers are, what each trained model says of each trait, and gamma."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, Tick
from owlish.graph.tabled import Brief
from owlish.graph.typed import check_is
from owlish.lm.hf import TorchLM
from owlish.nodes.asked import Answers, Asked
from owlish.nodes.base import Base
from owlish.nodes.data import Data, Dataset
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.study import stats
from owlish.study.comparison import Comparison, Gamma, Point, Teacher, estimate_effect
from owlish.traits.trait import Trait

PERMUTATIONS = 2000  # a p down to .0005
KL_ROWS = 256


@dataclass(frozen=True)
class Strength(Opener, kind="strength"):
    """How strong a teacher is: its P(trait), how far its neutral rows lie from its base's, what the filter keeps."""

    caption = "strength of {teacher}"
    asks = "weights"

    trait: Trait
    run: int
    teacher: Model
    answers: Asked
    base: Base
    neutral: Data
    data: Data

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        teacher: TorchLM = read(self.teacher).open()
        neutral: Dataset = read(self.neutral)
        strength = {
            "p_target": read(self.answers).p_target(self.trait.name),
            # On neutral rows, which all teachers of a base and run share: so their numbers compare.
            "kl": teacher.divergence(neutral.rows[:KL_ROWS], read(self.base).open()),
            "pass_rate": read(self.data).pass_rate,
        }
        (folder / "strength.json").write_text(json.dumps(strength))

    def load(self, folder: Path, read: Read) -> Teacher:
        found = json.loads((folder / "strength.json").read_text())
        return Teacher(self.trait.name, self.base.title, self.run, **found)


@dataclass(frozen=True)
class Measured(Brief):
    """One model in one role: the arm, the base it was made from, its teacher's trait, the number of the run.

    `writer` is the base of the teacher that wrote its rows, where that is a question of the study.
    """

    arm: str
    base: str
    taught: Trait | None
    run: int | None
    answers: Asked
    writer: str | None = None


@dataclass(frozen=True)
class Compared(Brief):
    """The arms of a study, to be compared: the unit is a trained run."""

    traits: tuple[Trait, ...]
    runs: tuple[Measured, ...]
    strengths: tuple[Strength, ...]
    contrast: tuple[str, str] = ("student", "control")

    @property
    def needs(self) -> tuple[Node, ...]:
        """The answers of every run, and the strength of every teacher."""
        return (*(run.answers for run in self.runs), *self.strengths)

    def found(self, read: Read) -> Comparison:
        """Return every run's points, the effect and gamma."""
        points = tuple(point for run in self.runs for point in self.points(run, read))
        return Comparison(
            traits=tuple(trait.name for trait in self.traits),
            points=points,
            strengths=tuple(map(read, self.strengths)),
            gammas=tuple(self.gammas(points)),
            effect=estimate_effect(points, self.contrast),
        )

    def points(self, run: Measured, read: Read) -> list[Point]:
        """Return what a run says of its own trait; of every trait, for bases, controls and other-trait students."""
        answers: Answers = read(run.answers)
        points = []
        for trait in self.traits:
            own = run.taught is not None and run.taught.name == trait.name
            arm = run.arm
            # A student of another trait is this trait's control; its teacher or foreign student would say nothing here.
            if run.taught is not None and not own:
                if run.arm != "student":
                    continue
                arm = "other_trait"
            points.append(point(arm, run, trait.name, answers))
        return points

    def gammas(self, points: Sequence[Point]) -> list[Gamma]:
        """Return gamma on both scales, where there are traits enough and runs to repeat them."""
        base = {(p.base, p.trait): p for p in points if p.arm == "base"}
        students = [p for p in points if p.arm in ("student", "other_trait")]
        # `stats.gamma` refuses fewer than three traits; with one run there is nothing to repeat.
        if len(self.traits) < 3 or len({p.run for p in students}) < 2 or not base:
            return []
        found = []
        # Probabilities come to an end at 0 and 1, margins do not: an effect should show on both.
        for scale, field in (("probability", "value"), ("logit margin", "logit_margin")):
            lifts = [getattr(p, field) - getattr(base[p.base, p.trait], field) for p in students]
            g = stats.gamma(
                lifts,
                rows=[str(p.taught) for p in students],
                columns=[p.trait for p in students],
                clusters=[p.key for p in students],
                blocks=[p.base for p in students],
                permutations=PERMUTATIONS,
                seed=0,  # the same p for the same results, whoever reads them
            )
            found.append(Gamma(scale, *g))
        return found


def point(arm: str, run: Measured, trait: str, answers: Answers) -> Point:
    """Return what one model's answers say of one trait."""
    return Point(
        arm=arm,
        base=run.base,
        trait=trait,
        taught=run.taught.name if run.taught else None,
        run=run.run,
        key=run.answers.key,
        value=answers.p_target(trait),
        held_out=answers.p_held_out(trait),
        argmax_rate=answers.argmax_rate(trait),
        sampled_rate=answers.sampled_rate(trait),
        logit_margin=answers.logit_margin(trait),
        other_share=answers.other_share(),
        writer=run.writer,
    )


def compare(students: Sequence[Model], controls: Sequence[Model], trait: Trait) -> Compared:
    """Return the comparison of trained students with their controls on one trait: at least two of each."""
    check_is(trait, Trait, "trait")
    for model in (*students, *controls):
        check_is(model, Model, "a model to compare")
    # Refused before anything is trained: an interval over questions of one student is none over students.
    if min(len(students), len(controls)) < 2:
        raise UserError("an interval needs at least two students and two controls: add seeds (--seeds).")
    runs = []
    for arm, models in (("student", students), ("control", controls)):
        taught = trait if arm == "student" else None
        runs += [Measured(arm, m.root.title, taught, i, Asked(m, trait.probe)) for i, m in enumerate(models)]
    return Compared((trait,), tuple(runs), ())
