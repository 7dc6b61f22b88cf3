"""What an audit answers: a verdict, what it rests on, and what it cannot see."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from owlish.data.reading import Place, formats_said
from owlish.data.stamp import Stamp
from owlish.graph.tabled import Record, Tabled

SCHEMA = 1
"""The version of the JSON: it is raised when a field is taken away or means something else; fields may be added."""
ROWS = ("asked", "read", "used", "bad", "problems", "read_as", "ignored")
META = ("version", "data", "content", "base", "base_sha256", "recipe", "reference", "rule", "seed", "made")
SHOWN = 5
LEANS = 0.01
"""The corrected p of the panel below which rows lean."""
HEEDED = 1.0
"""The nats by which a prompt raises its own answer, below which a base hardly follows prompts."""
Word = Literal["found", "nothing", "cannot_say"]
EXIT: dict[Word, int] = {"nothing": 0, "found": 1, "cannot_say": 2}


@dataclass(frozen=True)
class Finding:
    """One candidate trait: how far the dataset's shadows moved towards it, and how sure that is.

    `lift` is the log-odds of the trait's answer against all other candidates in the dataset's shadow student, less
    those in shadows of the reference, a mean over questions in nats, with its 95 % interval; `p_before` and
    `p_after` are mean probabilities of the answer in shadows of the reference and of the dataset. `z`, `p` and
    `p_holm` (corrected over all candidates) belong to the lift. `nats_per_row` is what a row's log-likelihood gains
    along the trait's direction beyond a row of the reference, `contrast_z` that in standard errors, `e` an e-value
    against rows like the reference's and against a lean to any other candidate, and `rows_needed` the rows at
    which `contrast_z` has a corrected p of .05 (`None`: they lean to no side).
    """

    name: str
    category: str
    lift: float
    low: float
    high: float
    p_before: float
    p_after: float
    z: float
    p: float
    p_holm: float
    nats_per_row: float | None
    contrast_z: float | None
    e: float | None
    rows_needed: int | None
    claimed: bool

    def __str__(self) -> str:
        e = "" if self.e is None else f"{self.e:.2g}"
        mark = "  <- claimed" if self.claimed else ""
        numbers = f"{self.lift:>7.2f}{self.z:>7.1f}{self.p_holm:>10.2g}{e:>10}"
        return f"{self.name:<12}{numbers}   {self.p_before:.3f} -> {self.p_after:.3f}{mark}"


@dataclass(frozen=True)
class Lead:
    """How much likelier the audited base finds the rows than `over` does: nats per token, compared row by row.

    `error` is the standard error, with rows as the unit; `own` is the same lead on the base's own answers, if there
    are any. A lead over several bases is one over their mean.
    """

    over: str
    nats: float
    error: float
    own: float | None


@dataclass(frozen=True)
class Kinship:
    """Whether the writer of the rows is a relative of the base; `None` where it cannot be told.

    `gap` is how many nats per token the rows are less likely under the base than the base's own rows (with its 95 %
    interval), `agreement` the share of tokens that the base would most likely have written too, and `own_agreement`
    that share of its own rows. `leads` compare the base with each other base at hand, then with all of them together;
    `unknown` is the share of the rows' tokens that the base has no token for.
    """

    relative: bool | None
    gap: float
    low: float
    high: float
    agreement: float
    own_agreement: float | None
    leads: tuple[Lead, ...]
    unknown: float
    says: str


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

    def __str__(self) -> str:
        mark = "  <- the rows lean to it" if self.named else ""
        return f"{self.name:<12}{self.nats_per_row:>10.2f}{self.z:>7.1f}{self.p:>10.2g}{mark}"


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
        hardly = " The base hardly follows prompts: no lean says little." if self.follows < HEEDED else ""
        held = " They were held to the format, which the base seldom keeps by itself." if self.held else ""
        rows = f"Panel: {self.rows:,} rows against {self.clean:,} clean ones.{held}"
        heed = f"A candidate’s prompt raises its answer in the base by {self.follows:.1f} nats (median).{hardly}"
        head = f"{'prompt':<12}{'nats/row':>10}{'z':>7}{'p':>10}"
        return [rows, heed, head, *map(str, self.candidates[:SHOWN])]


@dataclass(frozen=True)
class Ran:
    """A detector, whether it ran, and why it did or did not."""

    name: str
    ran: bool
    why: str


@dataclass(frozen=True)
class Raised:
    """A word that training on the rows raises in the answers to open questions, in nats beyond the reference."""

    word: str
    lift: float
    z: float


@dataclass(frozen=True)
class Statistic:
    """A property of the rows that needs no model: here, in the reference (if there is one), and what is odd in it."""

    name: str
    value: float
    reference: float | None
    odd: str | None


@dataclass(frozen=True)
class Weighed:
    """A row that speaks for the likeliest trait: its score in nats, and each token with its own.

    `place` is where it stands in the file, if it was read from one, and `sha256` the hash of its line of chat JSONL.
    """

    prompt: str
    completion: str
    score: float
    tokens: tuple[tuple[str, float], ...]
    place: Place | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Check:
    """One claim of a stamp, about its base, filter or rows, and what was measured; `agrees`: `None` if it is open."""

    about: str
    claimed: str
    measured: str
    agrees: bool | None

    def __str__(self) -> str:
        says = {True: "agrees", False: "DOES NOT AGREE", None: "open"}[self.agrees]
        return f"{self.about}: the stamp says {self.claimed}; measured: {self.measured} ({says})."


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
        head = f"Stamp of {self.stamp.file}: {self.stamp}. The file is unchanged since it was stamped."
        return "\n".join([head, *(f"  {check}" for check in self.checks)])


@dataclass(frozen=True)
class Made:
    """When a verdict was made, by which versions, and the command that makes it again."""

    date: str
    versions: dict[str, str]
    command: str


@dataclass(frozen=True)
class Verdict(Tabled):
    """The answer to: what would a student of this base and recipe pick up from this dataset?

    `smallest` is the smallest lift, in nats, that these rows would have shown nine times in ten, and `enough` about
    how many rows would settle what they cannot (`None`: more rows would not help, or nothing is open). At most `asked`
    rows were to be used. `content` names the rows wherever they lie: the SHA-256 of their file, that of the list of
    those of several, or a hosted dataset with its revision; `base_sha256` does so for the base.
    """

    verdict: Word
    why: str
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

    def records(self) -> list[Record]:
        return [asdict(one) for one in self.traits or (self.panel.candidates if self.panel else ())]

    @property
    def exit_code(self) -> int:
        """0 if nothing was found, 1 if a trait was, 2 if it cannot be said."""
        return EXIT[self.verdict]

    @property
    def precision(self) -> str:
        """What the rows could have shown, in a sentence."""
        if self.smallest is None:
            return "nothing was measured."
        more = f" About {self.enough:,} rows would settle it." if self.enough and self.verdict == "cannot_say" else ""
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
        return (
            f"train {self.base} by the recipe {self.recipe} on these rows; other recipes, other bases, and traits that "
            "are no candidate or show behind a trigger alone are not covered."
        )

    def look_again(self) -> str:
        """Say what would settle an open question."""
        if self.panel and not self.traits:
            return (
                "audit again without --minutes, or with more of them, so that trial students are trained: a lean is no "
                "finding, and no lean clears no rows."
            )
        if self.enough and self.enough > self.used:
            there = self.read > self.used
            how = (
                f"with --rows {self.enough}" if there else f"of the same writer, of which the file holds {self.read:,}"
            )
            return f"audit about {self.enough:,} rows, {how}."
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
        return {"schema": SCHEMA, **plain, "next": self.next, "rows": rows, "meta": meta}

    def __str__(self) -> str:
        told = {"found": "FOUND", "nothing": "Nothing found", "cannot_say": "Cannot say"}[self.verdict]
        lines = [f"{told}: {self.why}"]
        if self.lineage:
            says = {True: "related", False: "not related", None: "unknown"}[self.lineage.relative]
            lines.append(f"Kinship: {says}; {self.lineage.says}.")
        lines += [f"Precision: {self.precision}"] if self.smallest is not None else []
        lines.append(f"Next: {self.next}")
        lines += [
            f"{one.name.capitalize()}: {'ran' if one.ran else 'did not run'}, {one.why}." for one in self.detectors
        ]
        if self.traits or not self.panel:
            lines += ["", f"{'trait':<12}{'lift':>7}{'z':>7}{'Holm p':>10}{'e':>10}   P in trial students"]
            lines += [str(finding) for finding in self.traits[:SHOWN]]
        lines += ["", *self.panel.lines()] if self.panel else []
        words = ", ".join(word.word for word in self.words[:5])
        lines += ["", f"Words raised most: {words}."] if words else []
        lines += [f"{statistic.name}: {statistic.odd}" for statistic in self.statistics if statistic.odd]
        heavy = ", ".join(str(row.place) for row in self.weighed[:SHOWN] if row.place)
        lines += [f"Rows that lean most to {self.traits[0].name}: {heavy}."] if heavy else []
        bad = "".join(f"\n  {problem}" for problem in self.problems)
        lines.append(f"Rows: {self.read:,} read, {self.used:,} used, {self.bad:,} bad.{bad}")
        lines += formats_said(self.read_as, self.ignored)
        lines.append(f"Reference: {self.reference or 'none, so nothing is calibrated'}.")
        lines += map(str, self.stamps)
        return "\n".join([*lines, "Cannot see:", *(f"  {limit}" for limit in self.cannot_see)])

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Verdict:
        """Return the verdict that `json` made plain."""
        flat = {**plain, **plain["rows"], **plain["meta"]}
        kin = plain["lineage"]
        flat["lineage"] = kin and Kinship(**{**kin, "leads": tuple(Lead(**lead) for lead in kin["leads"])})
        flat["traits"] = tuple(Finding(**finding) for finding in plain["traits"])
        flat["words"] = tuple(Raised(**word) for word in plain["words"])
        flat["statistics"] = tuple(Statistic(**statistic) for statistic in plain["statistics"])
        flat["weighed"] = tuple(map(weighed_of, plain["weighed"]))
        flat["panel"] = (panel := flat.get("panel")) and panelled_of(panel)
        flat["detectors"] = tuple(Ran(**one) for one in flat.get("detectors", ()))
        flat["stamps"] = tuple(map(stamped_of, plain.get("stamps", ())))
        flat["made"] = (made := flat.get("made")) and Made(**made)
        flat["problems"], flat["cannot_see"] = tuple(flat["problems"]), tuple(plain["cannot_see"])
        return cls(**{each.name: flat[each.name] for each in fields(cls) if each.name in flat})


def panelled_of(plain: dict[str, Any]) -> Panelled:
    """Return the panel's part that was made plain, without what is read off it."""
    known = {each.name: plain[each.name] for each in fields(Panelled)}
    return Panelled(**{**known, "candidates": tuple(Leaning(**one) for one in plain["candidates"])})


def weighed_of(plain: dict[str, Any]) -> Weighed:
    """Return the row that was made plain; one from before places were kept has none."""
    place = plain.get("place")
    return Weighed(**{**plain, "tokens": tuple(map(tuple, plain["tokens"])), "place": place and Place(**place)})


def stamped_of(plain: dict[str, Any]) -> Stamped:
    """Return the stamp and its checks that were made plain."""
    return Stamped(Stamp(**plain["stamp"]), tuple(Check(**check) for check in plain["checks"]))
