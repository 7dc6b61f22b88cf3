"""What an audit answers: a verdict, with what it rests on and what it cannot see."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from owlish.audit.decide import FLOOR, LEVEL
from owlish.audit.dose import Dose
from owlish.audit.evidence import (
    HEADER,
    KEY,
    Conclusion,
    Finding,
    Kinship,
    Raised,
    Ran,
    Statistic,
    Weighed,
    say_ran,
)
from owlish.audit.judgement import Judgement
from owlish.audit.leaning import Panelled
from owlish.audit.stamped import Stamped
from owlish.data.grouped import grouped
from owlish.data.reading import formats_said
from owlish.graph.counted import join
from owlish.graph.errors import UserError
from owlish.graph.plotted import Strip, draw
from owlish.graph.tabled import Record
from owlish.graph.typed import from_plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = 1
"""The version of the JSON: it is raised when a field is taken away or means something else; fields may be added."""
ROWS = ("asked", "read", "used", "bad", "problems", "read_as", "ignored")
META = ("version", "data", "content", "base", "base_sha256", "recipe", "reference", "rule", "seed", "made")
UNREAD = 0.05
"""The share of tokens that a base does not know from which on rows are not written for a model like it."""
SHOWN, DRAWN = 5, 12
SHORT = ("name", "category", "lift", "low", "high", "z", "p_holm", "p_before", "p_after", "claimed")
LEANT = ("name", "category", "nats_per_row", "z", "p", "named")
"""What a notebook shows of a candidate whose lift was measured, and of one to which rows may lean."""
KINSHIP_DECIDES = "Kinship alone decides here, whatever the lifts are."
MOVES_ALL = "Rows of an unrelated writer move answers by their form, whatever it likes: that is not counted as a trait."
BOTH = "The contrast must speak for a claimed trait as well, and no candidate may come near it in both together."
NO_DOSE = "kinship alone decides, however many rows there are."
NOISY = "Found holds for the rows that were read; the curve through three noisy trials also allows for a smaller lift."


@dataclass(frozen=True)
class Made:
    """When a verdict was made, by which versions, and the command that makes it again."""

    date: str
    versions: dict[str, str]
    command: str


@dataclass(frozen=True)
class Verdict(Conclusion):
    """The answer to: what would a student of this base and recipe pick up from this dataset?

    `smallest` is the smallest lift, in nats, that these rows would have shown nine times in ten, and `enough` about
    how many rows may settle what they cannot (`None`: more rows would not help, or nothing is open). At most `asked`
    rows were to be used. `content` names the rows wherever they lie: the SHA-256 of their file, that of the list of
    those of several, or a hosted dataset with its revision; `base_sha256` does so for the base.
    """

    smallest: float | None
    enough: int | None
    lineage: Kinship | None
    traits: tuple[Finding, ...]
    words: tuple[Raised, ...]
    statistics: tuple[Statistic, ...]
    weighed: tuple[Weighed, ...]
    read: int
    used: int
    bad: int
    problems: tuple[str, ...]
    cannot_see: tuple[str, ...]
    version: str
    data: str
    base: str
    recipe: str
    reference: str | None
    rule: str
    read_as: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    asked: int | None = None
    content: str | None = None
    base_sha256: str | None = None
    seed: int | None = None
    made: Made | None = None
    panel: Panelled | None = None
    detectors: tuple[Ran, ...] = ()
    stamps: tuple[Stamped, ...] = ()
    dose: Dose | None = None
    judge: Judgement | None = None

    def records(self) -> list[Record]:
        return [asdict(one) for one in self.traits or (self.panel.candidates if self.panel else ())]

    def shown(self) -> list[Record]:
        names = SHORT if self.traits else LEANT
        return [{name: record[name] for name in names} for record in self.records()]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the lift of the likeliest candidates with its 95 % interval, on `ax` or a new matplotlib figure.

        A line is the smallest lift that these rows would have shown nine times in ten. Raise `UserError` where
        matplotlib is not installed, or no trial student measured a lift.
        """
        if not self.traits:
            raise UserError("no lift was measured, so there is none to draw: audit again without --minutes.")
        drawn = self.traits[:DRAWN]
        strips = [
            Strip(one.name, one.lift, one.low, one.high, look="claimed" if one.claimed else "plain") for one in drawn
        ]
        bar = self.smallest and (self.smallest, f"a lift of {self.smallest:.2f} would be found 9 times in 10")
        return draw(strips, x="lift in trial students [nats]", dashed=0.0, bar=bar or None, ax=ax)

    @property
    def by_kinship(self) -> bool:
        """Whether kinship alone decides: the writer is no relative, so no lift would have been found."""
        return self.verdict == "nothing" and self.lineage is not None and self.lineage.relative is False

    @property
    def moved(self) -> tuple[Finding, ...]:
        """The candidates to which trial students moved surely, where kinship alone decides: likeliest first."""
        if not self.by_kinship:
            return ()
        return tuple(one for one in self.traits if one.lift >= FLOOR and one.p_holm < LEVEL)

    @property
    def unclaimed(self) -> str:
        """Which traits are not claimed although their lift alone would do, and why; empty if there are none.

        Without this, a trait with the largest lift of all that is not claimed looks like an error.
        """
        names = [one.name for one in self.traits if not one.claimed and one.lift >= FLOOR and one.p_holm < LEVEL]
        return (
            f"Not claimed in spite of a large lift: {join(names)}. {BOTH}" if self.verdict == "found" and names else ""
        )

    @property
    def stirred(self) -> str:
        """That trial students moved all the same, and why that does not count."""
        rises = (f"{one.name} ({one.p_before:.3f} to {one.p_after:.3f})" for one in self.moved)
        return f"Trial students did move to {join(rises)}. {MOVES_ALL}"

    @property
    def dosed(self) -> str:
        """At how many rows the first trait stands out, in sentences that fit the verdict."""
        if self.dose is None or self.by_kinship:
            return NO_DOSE
        # An end of the interval beyond these rows would seem to contradict what was found in them.
        unsure = self.dose.chance is not None and (self.dose.rows_high or self.used + 1) > self.used
        return f"{self.dose.stands_out}{f' {NOISY}' if unsure and self.verdict == 'found' else ''}"

    @property
    def precision(self) -> str:
        """What the rows could have shown, in a sentence."""
        if self.smallest is None:
            return "nothing was measured."
        more = f" About {self.enough:,} rows may settle it." if self.enough and self.verdict == "cannot_say" else ""
        seen = f"a lift of {self.smallest:.2f} nats would have been found nine times in ten"
        return f"from {self.used:,} rows, {seen}.{more}"

    @property
    def next(self) -> str:
        """What to do next, in a sentence."""
        return {"found": self.act, "nothing": self.train, "cannot_say": self.look_again}[self.verdict]()

    def act(self) -> str:
        """Say what to do about a trait."""
        names = " or ".join(finding.name for finding in self.traits if finding.claimed)
        return (
            f"do not train {self.base} on these rows: clean them with `owlish clean`, or drop the rows that lean most "
            f"to {names} (`--scores` lists every row), and audit what is left."
        )

    def train(self) -> str:
        """Say that training may go on, and with what in mind."""
        if self.by_kinship and self.lineage and self.lineage.unknown >= UNREAD:
            lost = f"{self.base} has no token for {100 * self.lineage.unknown:.0f} % of these rows"
            return f"name the model that you would train with --base: {lost}, and a verdict speaks for its base alone."
        told = (
            f"train {self.base} by the recipe {self.recipe} on these rows; other recipes, other bases, and traits that "
            "are no candidate or show behind a trigger alone are not covered."
        )
        names = join(one.name for one in self.moved) if self.moved else ""
        return f"{told} Check the student for {names} with `owlish diff`, as trial students moved." if names else told

    def look_again(self) -> str:
        """Say what would settle an open question."""
        if self.panel and not self.traits:
            if self.lineage and self.lineage.relative is False:
                return "audit again without `--minutes`: if kinship says the same there, nothing is found."
            return (
                "audit again without `--minutes`, or with more of them, so that trial students are trained: rows that "
                "lean may pass on nothing, and rows that do not lean may still pass on a trait."
            )
        if self.enough and self.enough > self.used:
            more = f"audit about {self.enough:,} rows"
            if self.read > self.used:
                return f"{more}: add --rows {self.enough}."
            return f"{more} of the same writer; the file holds {self.read:,}."
        if self.smallest is None:
            return "give more rows that this base can read."
        return "audit other rows of the same writer, or train a student of this recipe and a control, and ask both."

    def json(self) -> dict[str, Any]:
        """Return the verdict as plain values, as `verdict.schema.json` has them."""
        plain = asdict(self)
        rows = {name: plain.pop(name) for name in ROWS}
        meta = {name: plain.pop(name) for name in META}
        if self.panel:
            plain["panel"] |= {"leans": self.panel.leans, "says": self.panel.says}
        if self.judge:
            plain["judge"] |= {"names": list(self.judge.names), "says": self.judge.says}
        return {"schema": SCHEMA, **plain, "next": self.next, "rows": rows, "meta": meta}

    def __str__(self) -> str:
        lines = [self.headline]
        if self.lineage:
            says = {True: "related", False: "not related", None: "unknown"}[self.lineage.relative]
            lines.append(f"Kinship: {says}; {self.lineage.says}.")
        # A lift would not have been found here, however large, nor from however many rows.
        lines += [f"Precision: {self.precision}"] if self.smallest is not None and not self.by_kinship else []
        lines += [f"Dose: {'' if self.by_kinship else f'{self.dose.growth} '}{self.dosed}"] if self.dose else []
        lines.append(f"Next: {self.next}")
        lines += self.candidates()
        lines += ["", *self.panel.lines()] if self.panel else []
        lines += ["", *said] if (said := say_ran(self.detectors)) else []
        lines += ["", str(self.judge)] if self.judge else []
        words = ", ".join(word.word for word in sorted(self.words, key=lambda word: -word.z)[:5])
        lines += ["", f"Words raised most: {words}."] if words else []
        odd = [f"  {statistic.name}: {statistic.odd}" for statistic in self.statistics if statistic.odd]
        lines += ["Odd in the rows themselves, without a model:", *odd] if odd else []
        heavy = ", ".join(str(row.place) for row in self.weighed[:SHOWN] if row.place)
        lines += [f"Rows that lean most to {self.traits[0].name}: {heavy}."] if heavy else []
        bad = "".join(f"\n  {problem}" for problem in grouped(self.problems))
        lines.append(f"Rows: {self.read:,} read, {self.used:,} used, {self.bad:,} bad.{bad}")
        lines += formats_said(self.read_as, self.ignored)
        lines.append(f"Reference: {self.reference or 'none, so nothing is calibrated'}.")
        lines += map(str, self.stamps)
        return "\n".join([*lines, "Cannot see:", *(f"  {limit}" for limit in self.cannot_see)])

    def candidates(self) -> list[str]:
        """Return the table of the first candidates with what stands above and below it, where a lift was measured."""
        if not self.traits:
            return []
        decides = [" ".join([KINSHIP_DECIDES, *([self.stirred] if self.moved else [])])] if self.by_kinship else []
        order = "Candidates, by the sum of z of lift (as a normal number with the same p) and contrast:"
        beside = [self.unclaimed] if self.unclaimed else []
        return ["", *decides, order, HEADER, *(finding.row for finding in self.traits[:SHOWN]), *KEY, *beside]

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Verdict:
        """Return the verdict that `json` made plain."""
        return from_plain(cls, {**plain, **plain["rows"], **plain["meta"]})
