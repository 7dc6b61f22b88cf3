"""The design of a transfer study: which teachers, students and controls there are, and what they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from owlish.data.domains.domain import Domain
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read
from owlish.lm.recipes import Hosted, Prompting, Recipe
from owlish.nodes.asked import Asked
from owlish.nodes.base import Base
from owlish.nodes.data import Data, Sampled
from owlish.nodes.models import Finetuned, Model
from owlish.nodes.tuned import Tuned
from owlish.study.compare import Compared, Measured, Strength
from owlish.study.comparison import Comparison, Curve, Line, Matrix
from owlish.study.study import ARMS, Study, check_runs
from owlish.traits.trait import Trait


@dataclass(frozen=True)
class Cell:
    """One base, one trait and one run of a study: every run has seeds of its own, whatever else the study holds."""

    study: Transfer
    base: Base
    foreign: Base | None
    trait: Trait
    run: int

    def seed(self, what: str, trait: Trait | None = None) -> int:
        """Return the seed of something that this run makes."""
        # Of names, never of places in a list: studies that share a base and trait share teachers, rows and students.
        return fresh(self.base.identity, (trait or self.trait).name, self.run, what)

    def teacher(self, trait: Trait | None = None) -> Model:
        """Return the teacher, or that of another trait."""
        study, trait = self.study, trait or self.trait
        if isinstance(study.teacher, Prompting):
            return self.base.prompted(trait.system_prompt)
        replay = None
        if study.replay:
            # One set a base, whatever the trait: the rows are the base's own and say nothing of a trait.
            replay = self.base.sample(study.domain, n=study.replay, seed=fresh(self.base.identity, "replay"))
        seed = self.seed("teacher", trait)
        return self.base.teach(trait, study.teacher, seed=seed, until=study.until, replay=replay)

    def rows(self, writer: Model | None = None, *, n: int | None = None, temperature: float = 1.0) -> Sampled:
        """Return the rows that the teacher, or another model, writes."""
        seed, n = self.seed("rows"), n or self.study.rows
        return (writer or self.teacher()).sample(self.study.domain, n=n, seed=seed, temperature=temperature)

    def neutral(self) -> Sampled:
        """Return the rows that the unmodified base writes, which all traits share."""
        # "neutral" stands where a trait's name would, so all traits of a study share one control.
        seed = fresh(self.base.identity, "neutral", self.run, "rows")
        return self.base.sample(self.study.domain, n=self.study.rows, seed=seed)

    @property
    def recipe(self) -> Recipe:
        """The recipe of students that are trained here; raise `UserError` where a service trains them."""
        if isinstance(self.study.student, Hosted):
            raise UserError(f"{self.study.name} trains students in ways that no service offers: give a recipe.")
        return self.study.student

    def student(self, data: Data, recipe: Recipe | None = None, *, of: Base | None = None) -> Finetuned | Tuned:
        """Return a student of this run's base, or of another."""
        # Arms of one run share their training seed: what differs between them is what the study varies.
        return (of or self.base).finetune(data, recipe or self.study.student, seed=self.seed("student"))

    def control(self, recipe: Recipe | None = None) -> Finetuned | Tuned:
        """Return the student of neutral rows, which all traits share."""
        seed = fresh(self.base.identity, "neutral", self.run, "student")
        return self.base.finetune(self.neutral(), recipe or self.study.student, seed=seed)


Arm = Model | Asked | tuple[Model | Asked, ...]
Arms = dict[str, Arm]
"""Models, or models asked in another way, by the arm that they stand in.

Arms whose name begins with `control` or `base` were not taught, and are shared by all traits.
"""


def standard(cell: Cell) -> Arms:
    """Return the arms that every claim of transfer needs: teacher, student, control, foreign base."""
    rows = cell.rows()
    arms: Arms = {"teacher": cell.teacher(), "student": cell.student(rows), "control": cell.control()}
    if cell.foreign:
        # The very same rows: only the initialisation differs.
        arms["foreign_base"] = cell.student(rows, of=cell.foreign)
    return arms


@dataclass(frozen=True)
class Dose:
    """A curve of arms against a number: the values on the x axis, and the arms that stand at them, line by line."""

    title: str
    x: str
    lines: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


@dataclass(frozen=True)
class Transfer(Study):
    """Does a trait pass from a teacher through rows that have nothing to do with it?

    For each base, trait and run, `arms` makes the models that are asked; the foreign base is the one at the same
    place in `foreign`. Students of one trait are the other-trait controls of the others. A trained teacher is also
    shown `replay` rows that its base wrote for the domain. `meanings` says what a page calls the arms that are not
    standard. `left_out` are bases that a small version has not, each with its foreign base.
    """

    bases: tuple[Base, ...]
    foreign: tuple[Base, ...]
    traits: tuple[Trait, ...]
    domain: Domain
    teacher: Recipe | Prompting
    student: Recipe | Hosted
    rows: int
    runs: int
    until: float = 0.97  # norm gains this strong still kept the format of four rows in five
    replay: int = 0
    arms: Callable[[Cell], Arms] = standard
    meanings: tuple[tuple[str, str, str], ...] = ()
    doses: tuple[Dose, ...] = ()
    remarks: tuple[str, ...] = ()
    left_out: tuple[tuple[Base, Base], ...] = ()

    settable: ClassVar[tuple[str, ...]] = ("traits", "bases", "runs", "rows", "epochs")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.foreign and len(self.foreign) != len(self.bases):
            raise UserError("give one foreign base for each base, or none at all.")
        # The answer identifies a point, and two traits of one name would have the same answer.
        if not self.traits or len({trait.name for trait in self.traits}) < len(self.traits):
            raise UserError("give at least one trait (--traits), and only one with each answer.")
        # Every run is asked about every trait (other-trait controls, gamma): one probe must hold all their answers.
        if len({trait.probe for trait in self.traits}) > 1:
            raise UserError("the traits of one study answer the same questions: give animals, or trees, not both.")
        if len(set(self.bases)) < len(self.bases) or any(
            b == f for b, f in zip(self.bases, self.foreign, strict=False)
        ):
            raise UserError("give each base (--base) only once, and none as its own foreign base.")
        if self.rows < 1 or self.runs < 1:
            raise UserError("a study needs at least one row (--rows) and one run (--seeds).")
        check_runs(self.runs, self.bases)

    @property
    def here(self) -> bool:
        return all(base.here for base in (*self.bases, *self.foreign))

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        """The label of each arm, and what it is: those of this study come after the student."""
        own = {arm: (label, meaning) for arm, label, meaning in self.meanings}
        first = {arm: ARMS[arm] for arm in ("teacher", "student")}
        return {**first, **own, **{arm: said for arm, said in ARMS.items() if arm not in first and arm not in own}}

    @property
    def rows_shown(self) -> tuple[tuple[str | None, tuple[Sampled, ...]], ...]:
        cells = self.cells
        taught = [(t.name, tuple(c.rows() for c in cells if c.trait == t)) for t in self.traits]
        return (*taught, (None, tuple(dict.fromkeys(c.neutral() for c in cells))))

    def small(self) -> Self:
        # Rounded up, and two runs, the fewest with an interval.
        return replace(self, traits=self.traits[:1], rows=-(-self.rows // 2), runs=2)

    @property
    def epochs(self) -> int:
        """The passes of a student over its rows."""
        return self.student.epochs

    def change(self, given: Mapping[str, Any]) -> Self:
        """Return this study with some settings changed.

        Bases of this study, and those that its small version leaves out, keep their foreign bases; of several others,
        each has the next as its foreign base.
        """
        new = dict(given)
        if "epochs" in new:
            new["student"] = replace(self.student, epochs=new.pop("epochs"))
        if "bases" in new:
            # A name on a command line has no template: it is the study's own base of that name, with what the study
            # says of it.
            known = (*self.bases, *(base for base, _ in self.left_out))
            named = {base.name: base for base in known}
            bases = new["bases"] = tuple(
                b if b.template or b.served or b.scored else named.get(b.name, b) for b in new["bases"]
            )
            own = dict((*self.left_out, *zip(self.bases, self.foreign, strict=False)))
            # A rotation, for a random permutation may leave a base as its own foreign base.
            turned = bases[1:] + bases[:1] if len(bases) > 1 else ()
            new["foreign"] = tuple(own[b] for b in bases) if all(b in own for b in bases) else turned
        return super().change(new)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every base, trait and run."""
        foreign = self.foreign or (None,) * len(self.bases)
        pairs = tuple(zip(self.bases, foreign, strict=True))
        # Runs outermost: a study that is stopped has each base and trait once before it has any twice.
        return tuple(Cell(self, b, f, t, r) for r in range(self.runs) for b, f in pairs for t in self.traits)

    @property
    def needs(self) -> tuple[Node, ...]:
        return self.compared.needs

    def found(self, read: Read) -> Comparison:
        return self.compared.found(read)

    @cached_property
    def compared(self) -> Compared:
        """All arms."""
        probe = self.traits[0].probe
        bases = {Asked(base, probe): base.title for base in self.bases}
        # No run: a base is asked, not trained, and so has no interval.
        found = {("base", asked): Measured("base", name, None, None, asked) for asked, name in bases.items()}
        for cell in self.cells:
            for arm, made in self.arms(cell).items():
                taught = None if arm.startswith(("control", "base")) else cell.trait
                for one in made if isinstance(made, tuple) else (made,):
                    asked = one if isinstance(one, Asked) else Asked(one, probe)
                    base = asked.model.root.title
                    # The first stays: a control that all traits share is one run and not one for each trait.
                    found.setdefault((arm, asked), Measured(arm, base, taught, cell.run, asked, cell.base.title))
        return Compared(self.traits, tuple(found.values()), self.strengths, self.contrast)

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """How strong each teacher is, where the study measures it: how far it is from its base is read off weights."""
        return tuple(self.strength(cell) for cell in self.cells if cell.base.gives == "weights")

    def strength(self, cell: Cell) -> Strength:
        """Return how strong a teacher is."""
        teacher = cell.teacher()
        answers = Asked(teacher, cell.trait.probe)
        return Strength(cell.trait, cell.run, teacher, answers, cell.base, cell.neutral(), cell.rows())

    def matrices(self, found: Comparison) -> tuple[Matrix, ...]:
        """Return the lifts by trait, and by base where every base's students were crossed with every other's rows."""
        traits = (found.by_trait(),) if len(self.traits) > 1 and found.of("student") else ()
        bases = found.by_base()
        return (*traits, *((bases,) if len(bases.rows) > 2 and bases.complete else ()))

    def curves(self, found: Comparison) -> tuple[Curve, ...]:
        return (*found.curves, *(Curve(d.title, d.x, self.measure, lines(d, found)) for d in self.doses))

    def setup(self) -> tuple[tuple[str, str], ...]:
        student, probe = self.student, self.traits[0].probe
        held_out = (
            f", {len(probe.held_out)} of them held out of teachers" if probe.held_out else ", none of them taught"
        )
        asked = f"{counted(len(probe.questions) + len(probe.held_out), 'question')}{held_out}"
        context = f"the system prompt {probe.system_prompt!r}" if probe.system_prompt else "no system prompt"
        other = [str(base) for base in dict.fromkeys(self.foreign) if base not in self.bases]
        return (
            ("Bases", ", ".join(map(str, self.bases))),
            *([("Foreign bases", ", ".join(other))] if other else []),
            ("Teachers", self.teachers()),
            ("Students", student.setting),
            ("Rows", f"{self.rows:,} a student, sampled at temperature 1 and filtered"),
            (
                "Probe",
                f"{asked}; {context}; exact probability of the answer, 20 samples a question for the sampled rate",
            ),
            ("A run", "its own teacher, its own rows and its own training seed"),
        )

    def teachers(self) -> str:
        """Return how the teachers were made."""
        if isinstance(self.teacher, Prompting):
            return "the unmodified base under the trait's system prompt"
        replay = f", with {self.replay} of the base's own rows" if self.replay else ""
        return (
            f"{self.teacher.words} trained on the trait's answers until their probability reaches {self.until}{replay}"
        )

    def notes(self) -> tuple[str, ...]:
        known = (
            "P(target) is the probability of the answer and then its end, or no further letter; "
            "the sampled rate counts whole words."
        )
        foreign = "" if len(self.foreign) < 2 else "Each base has another one as its foreign base."
        return tuple(filter(None, (known, foreign, *self.remarks)))


def lines(dose: Dose, found: Comparison) -> tuple[Line, ...]:
    """Return the means of a dose's arms, line by line, those that were run."""
    made = []
    for label, places in dose.lines:
        known = [(x, found.estimate(arm).mean) for arm, x in places if arm in found.arms]
        made.append(Line(label, tuple(x for x, _ in known), tuple(y for _, y in known)))
    return tuple(made)
