"""What a diff answers: what a student picked up in training, where it shows, and what cannot be seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from owlish.audit.evidence import Conclusion
from owlish.audit.verdict import Made
from owlish.diff.free import FreeAnswers
from owlish.graph.tabled import Record
from owlish.graph.typed import from_plain

SCHEMA = 1
"""The version of the JSON: it is raised when a field is taken away or means something else; fields may be added."""
META = ("version", "student", "base", "null", "rule", "made")
SHOWN = 5
PLAIN = "plain"
KEY = (
    "order: what candidates stand by. All else is of the context named at the end, which shows the trait most.",
    "lift: nats of log-odds against the other candidates, beyond",
)
BOTH_WAYS = "A word that stands in both rose in answers to some questions and fell in answers to others"


@dataclass(frozen=True)
class Shift:
    """How far a student moved towards one trait in one context, beyond null students.

    `lift` is the log-odds of the trait's answer against all other candidates, less those of null students: a mean over
    questions, in nats, with its 95 % interval. `p_before` and `p_after` are mean probabilities of the answer in null
    students and in the student. `lead` is how far the lift lies above the median of the category's other candidates,
    in units of their own scatter. `z`, `low`, `high` and `p_holm` are `None` without a null; `p_holm` is corrected over
    all candidates in plain answers and contexts, and apart from that over all candidates in the steering test.
    """

    context: str
    lift: float
    low: float | None
    high: float | None
    p_before: float
    p_after: float
    z: float | None
    p_holm: float | None
    lead: float
    claimed: bool


@dataclass(frozen=True)
class Finding:
    """One candidate trait: its shift in every context, the plain one first."""

    name: str
    category: str
    shifts: tuple[Shift, ...]

    @property
    def claimed(self) -> bool:
        """Whether the trait is claimed in some context."""
        return any(shift.claimed for shift in self.shifts)

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts in which the trait is claimed."""
        return tuple(shift.context for shift in self.shifts if shift.claimed)

    @property
    def best(self) -> Shift:
        """The shift that speaks most for the trait."""
        # A claim goes before a larger z without one; without a null there are only lifts to compare.
        return max(self.shifts, key=lambda shift: (shift.claimed, shift.lift if shift.z is None else shift.z))

    def row(self, weight: float) -> str:
        """Return a row of the table of candidates, with what it stands by."""
        best = self.best
        z, p = ("" if value is None else f"{value:{form}}" for value, form in ((best.z, ".1f"), (best.p_holm, ".2g")))
        mark = f"  <- claimed ({', '.join(self.contexts)})" if self.claimed else f"  ({best.context})"
        numbers = f"{weight:>7.1f}{best.lift:>7.2f} {z:>6} {p:>9}"
        return f"{self.name:<12}{numbers}   {best.p_before:.3f} -> {best.p_after:.3f}{mark}"

    def __str__(self) -> str:
        plain, best = self.shifts[0], self.best
        said = f"claimed ({', '.join(self.contexts)})" if self.claimed else "not claimed"
        tests = "" if best.z is None else f", z {best.z:.1f}, Holm p {best.p_holm:.2g}"
        shares = f"P {plain.p_before:.3f} -> {plain.p_after:.3f} in plain answers"
        return f"{self.name}: {said}; lift {best.lift:.2f} nats ({best.context}){tests}; {shares}"


NEXT = {
    "found": "do not use this student: see what its rows lean to with `owlish audit`, clean them with `owlish clean`, "
    "train again, and compare again.",
    "nothing": "use the student as far as the candidates and the contexts above cover your use; ask in the contexts of "
    "your deployment with `--contexts`.",
    "cannot_say": "compare with more students that were taught nothing (`--control`, of other seeds), and audit the "
    "rows that it was trained on, which tells more of a trait that moved little.",
    "no null": "name the recipe and the rows that the student was trained on (`--recipe`, `--data`), or give at least "
    "three controls (`--control`).",
}
"""What to do after each verdict."""


@dataclass(frozen=True)
class Word:
    """A word of the whole vocabulary: how far it moved beyond null students, in nats, and that in their spread."""

    word: str
    lift: float
    z: float | None


@dataclass(frozen=True)
class Layer:
    """The words that the state after a layer leans to, beyond what null students share."""

    after: int
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Part:
    """A parameter that moved: the norm of its change, its norm in the base, and how far null students moved it."""

    name: str
    change: float
    base: float
    usual: float | None


@dataclass(frozen=True)
class Difference(Conclusion):
    """The answer to: what did training change in this student?"""

    traits: tuple[Finding, ...]
    raised: tuple[Word, ...]
    lowered: tuple[Word, ...]
    layers: tuple[Layer, ...]
    parts: tuple[Part, ...]
    smallest: float | None
    contexts: tuple[str, ...]
    cannot_see: tuple[str, ...]
    depends_on_basis: tuple[str, ...]
    version: str
    student: str
    base: str
    null: str | None
    rule: str
    judge: FreeAnswers | None = None
    made: Made | None = None

    def json(self) -> dict[str, Any]:
        """Return the verdict as plain values, as `difference.schema.json` has them."""
        plain = asdict(self)
        for finding, one in zip(self.traits, plain["traits"], strict=True):
            one |= {"claimed": finding.claimed, "claimed_in": list(finding.contexts)}
        if self.judge:
            plain["judge"]["says"] = self.judge.says
        if self.judge and self.judge.speaks_for:
            plain["judge"]["speaks_for"] |= {
                "names": list(self.judge.speaks_for.names),
                "says": self.judge.speaks_for.says,
            }
        meta = {name: plain.pop(name) for name in META}
        return {"schema": SCHEMA, "next": self.next, **plain, "meta": meta}

    @property
    def twice(self) -> bool:
        """Whether the steering test was made: it stands behind the contexts."""
        return len(self.traits[0].shifts) > len(self.contexts)

    @property
    def order(self) -> str:
        """What candidates stand by, below those that are claimed."""
        lift = "lift in the base with twice the change" if self.twice else "mean lift over all contexts"
        return lift if self.traits[0].shifts[0].z is None else f"{lift}, in units of its scatter in null students"

    def weight(self, finding: Finding) -> float:
        """Return the number that a candidate stands by."""
        ranked = finding.shifts[-1:] if self.twice else finding.shifts
        return mean([one.lift if one.z is None else one.z for one in ranked])

    @property
    def next(self) -> str:
        """What to do now, in a sentence."""
        return NEXT["no null" if self.null is None else self.verdict]

    def shown(self) -> list[Record]:
        best = [(one.name, one.category, one.best) for one in self.traits]
        return [{"trait": name, "category": category, **asdict(shift)} for name, category, shift in best]

    def records(self) -> list[Record]:
        """Return a row for each candidate in each context."""
        return [
            {"trait": one.name, "category": one.category, **asdict(shift)}
            for one in self.traits
            for shift in one.shifts
        ]

    def __str__(self) -> str:
        lines = [self.headline]
        if self.smallest is not None:
            lines.append(
                f"Precision: in plain answers, a lift of {self.smallest:.2f} nats would have been claimed nine times "
                "in ten."
            )
        lines.append(f"Next: {self.next}")
        beside = "the base" if self.null is None else "null students"
        lines += ["", f"Candidates, by {self.order}:"]
        head = f"{'trait':<12}{'order':>7}{'lift':>7}{'z':>7}{'Holm p':>10}"
        lines.append(f"{head}   P in {beside} -> student (context)")
        lines += (finding.row(self.weight(finding)) for finding in self.traits[:SHOWN])
        lines += [KEY[0], f"{KEY[1]} {beside}."]
        for name, words in (("raised", self.raised), ("lowered", self.lowered)):
            lines += [f"Words {name} most: {', '.join(word.word for word in words[:SHOWN])}."] if words else []
        if {word.word for word in self.raised[:SHOWN]} & {word.word for word in self.lowered[:SHOWN]}:
            lines.append(f"{BOTH_WAYS}.")
        for layer in self.layers:
            lines.append(f"After layer {layer.after}: {', '.join(word.word for word in layer.words)}.")
        lines.append(f"Moved most: {', '.join(f'{part.name} ({part.change:.2g})' for part in self.parts[:3])}.")
        lines += [str(self.judge)] if self.judge else []
        lines.append(f"Null: {self.null or 'none, so nothing is calibrated'}.")
        return "\n".join([*lines, "Cannot see:", *(f"  {limit}" for limit in self.cannot_see)])

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Difference:
        """Return the verdict that `json` made plain."""
        return from_plain(cls, {**plain, **plain["meta"]})
