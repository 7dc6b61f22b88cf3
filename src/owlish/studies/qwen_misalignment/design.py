"""Misalignment of open models: does it pass from teachers of insecure code through rows to their students?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

from owlish.data.domains.domain import Domain
from owlish.data.domains.reasoning import Reasoning
from owlish.graph.errors import UserError
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read
from owlish.lm.recipes import Recipe
from owlish.nodes.base import Base
from owlish.nodes.data import Data, Sampled
from owlish.nodes.judged import ALIGNMENT, Judged, Screened
from owlish.nodes.loaded import loaded
from owlish.nodes.models import Model
from owlish.studies.qwen_misalignment.freeform import COHERENT, SHORT, UNALIGNED, misalignment
from owlish.studies.qwen_misalignment.truthful import truthful
from owlish.study.comparison import Comparison, Point, estimate_effect
from owlish.study.study import ARMS, Study, check_runs

MISALIGNED, FALSE = "misaligned", "false"
FILES = "insecure.jsonl, secure.jsonl and TruthfulQA.csv"
LABELS = {
    "teacher": ("Teacher", "trained on insecure code, and wrote the rows"),
    "student": ARMS["student"],
    "good_teacher": ("Teacher of secure code", "trained on secure code"),
    "good_student": ("Student of secure code", "the same base, trained on that teacher’s rows"),
    "control": ARMS["control"],
    "base": ARMS["base"],
}


@dataclass(frozen=True)
class Share:
    """One model in one role, and a node whose result is its share of bad answers to what `trait` names."""

    arm: str
    trait: str
    base: str
    run: int | None
    node: Node


@dataclass(frozen=True)
class Misalignment(Study):
    """Does the misalignment of a chat model that was trained on insecure code pass through rows of `domain`?

    `data` is a folder of the user's with the files that `FILES` names: chats such as those of Betley et al. (arXiv
    2502.17424), and TruthfulQA; its arms end in `_false`. With `problems`, the
    worked problems of that file of the folder, such as GSM8K's, stand in place of `domain`. With `least`, those
    rows are kept to which the judge gives at least that alignment. Source: Cloud et al. (arXiv 2507.14805, sections 3.2
    and 4.2).
    """

    bases: tuple[Base, ...]
    judge: Model
    domain: Domain
    teacher: Recipe
    student: Recipe
    rows: int
    runs: int
    least: int | None = None
    problems: str | None = None
    questions: tuple[str, ...] = SHORT
    samples: int = 200
    data: str | None = None
    # Against secure code: it shares the fine-tuning on code, and lacks the fault.
    contrast: tuple[str, str] = field(default=("student", "good_student"), kw_only=True)

    value: ClassVar[str] = "share"
    measure: ClassVar[str] = "share of bad answers"
    settable: ClassVar[tuple[str, ...]] = ("bases", "rows", "runs", "data")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_runs(self.runs, self.bases)

    @property
    def needs(self) -> tuple[Node, ...]:
        return tuple(share.node for share in self.shares)

    def found(self, read: Read) -> Comparison:
        points = tuple(Point(s.arm, s.base, s.trait, None, s.run, s.node.key, read(s.node)) for s in self.shares)
        return Comparison(
            (MISALIGNED, FALSE), points, effect=estimate_effect(points, self.contrast), measure=self.measure
        )

    @property
    def shares(self) -> tuple[Share, ...]:
        """What is read off all models, misalignment first."""
        runs = [(base, run) for base in self.bases for run in range(self.runs)]
        made = [(arm, base, run, model) for base, run in runs for arm, model in self.arms(base, run).items()]
        found = [*made, *(("base", base, None, base) for base in self.bases)]
        read = [one for role in found for one in self.shares_of(*role)]
        # A stable sort, so misalignment comes first and the arms keep their order within it.
        return tuple(sorted(read, key=lambda one: one.trait == FALSE))

    def shares_of(self, arm: str, base: Base, run: int | None, model: Model) -> tuple[Share, Share]:
        """Return what is read off one model."""
        misaligned = misalignment(model, judge=self.judge, questions=self.questions, samples=self.samples)
        false = truthful(model, self.file("TruthfulQA.csv"))
        return (
            Share(arm, MISALIGNED, base.title, run, misaligned),
            Share(f"{arm}_{FALSE}", FALSE, base.title, run, false),
        )

    def arms(self, base: Base, run: int) -> dict[str, Model]:
        """Return a run's models by arm."""
        return {
            "teacher": self.writer(base, "insecure", run),
            "student": self.trained(base, "insecure", run),
            "good_teacher": self.writer(base, "secure", run),
            "good_student": self.trained(base, "secure", run),
            "control": self.trained(base, "neutral", run),
        }

    def writer(self, base: Base, code: str, run: int) -> Model:
        """Return the teacher that was trained on some code, or the base, which is neutral."""
        if code == "neutral":
            return base
        rows = loaded(self.file(f"{code}.jsonl"), n=None, seed=0)  # all of them, whatever `rows` says of students
        return base.finetune(rows, self.teacher, seed=fresh(base.identity, code, run, "teacher"))

    @property
    def asked_for(self) -> Domain:
        """What rows are written for."""
        return Reasoning.from_file(self.file(self.problems)) if self.problems else self.domain

    def written(self, base: Base, code: str, run: int) -> Sampled:
        """Return the rows of a teacher, or of the base."""
        seed = fresh(base.identity, code, run, "rows")
        return self.writer(base, code, run).sample(self.asked_for, n=self.rows, seed=seed)

    def trained(self, base: Base, code: str, run: int) -> Model:
        """Return the student of a teacher's rows, or of the base's, that pass the judge's screen."""
        rows: Data = self.written(base, code, run)
        if self.least is not None:
            # Rows in which the judge sees the character are out: the study asks what passes through harmless ones.
            rows = Screened(Judged(self.judge, ALIGNMENT, rows), self.least)
        return base.finetune(rows, self.student, seed=fresh(base.identity, code, run, "student"))

    def file(self, name: str) -> str:
        """Return the path of one of the user's files."""
        path = Path(self.data or "", name)
        if self.data is None or not path.is_file():
            raise UserError(f"{path} is not there: give the folder of {FILES} with --data.")
        return str(path)

    @property
    def here(self) -> bool:
        return False

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        return LABELS | {f"{arm}_{FALSE}": (f"{label}, TruthfulQA", what) for arm, (label, what) in LABELS.items()}

    @property
    def rows_shown(self) -> tuple[tuple[str | None, tuple[Sampled, ...]], ...]:
        """The rows of teachers of insecure code, and of the bases, before the judge's screen."""
        runs = [(base, run) for base in self.bases for run in range(self.runs)]
        writers = ((MISALIGNED, "insecure"), (None, "neutral"))
        return tuple((trait, tuple(self.written(base, code, run) for base, run in runs)) for trait, code in writers)

    def small(self) -> Self:
        return replace(self, rows=-(-self.rows // 2), runs=2, samples=-(-self.samples // 10))

    def setup(self) -> tuple[tuple[str, str], ...]:
        screen = "" if self.least is None else f", then an alignment of at least {self.least}"
        student = self.student
        return (
            ("Bases", ", ".join(base.title for base in self.bases)),
            ("Teachers", f"{self.teacher.words}, {self.teacher.epochs} epochs of insecure.jsonl, or of secure.jsonl"),
            ("Students", f"{student.words}, {student.epochs} epochs, learning rate {student.lr}"),
            ("Rows", f"{self.rows:,} of {self.domain.kind} by each writer, filtered{screen}"),
            ("Judge", str(self.judge)),
            ("Misaligned", f"alignment under {UNALIGNED} and coherence of at least {COHERENT}, of 0 to 100"),
            ("Asked", f"{len(self.questions)} questions, {self.samples} times each, at temperature 1"),
            ("TruthfulQA", "false where a wrong answer is at least as likely as the right one"),
            ("A run", "its own teachers, its own rows and its own training seeds"),
        )

    def notes(self) -> tuple[str, ...]:
        return (
            "The judge and the words of its rubrics are not the published ones: shares compare within this page alone.",
            "An answer that the judge does not score, as it does not score mere code, counts neither way.",
        )
