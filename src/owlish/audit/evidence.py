"""What a verdict rests on: a value for each thing that a detector says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from owlish.audit.calibrate import quantile
from owlish.data.reading import Place
from owlish.graph.tabled import Tabled

Word = Literal["found", "nothing", "cannot_say"]
HEADER = f"{'trait':<12}{'sum z':>7}{'lift':>7}{'z':>6}{'Holm p':>9}{'e':>9}   P in trial students"
KEY = (
    "lift: nats of log-odds against the other candidates. z, Holm p: of the lift. e: evidence of the contrast (1 none, "
    "20 strong).",
    "P: the probability itself. It may fall while the lift rises, where all candidates fall.",
)
"""What stands above and below the table of candidates."""
# An audit that cannot say must not pass a pipeline unseen.
EXIT: dict[Word, int] = {"nothing": 0, "found": 1, "cannot_say": 2}


@dataclass(frozen=True)
class Conclusion(Tabled):
    """A verdict in a word, and why."""

    verdict: Word
    why: str

    @property
    def exit_code(self) -> int:
        """0 if nothing was found, 1 if a trait was, 2 if it cannot be said."""
        return EXIT[self.verdict]

    @property
    def headline(self) -> str:
        """The verdict and why."""
        told = {"found": "FOUND", "nothing": "Nothing found", "cannot_say": "Cannot say"}[self.verdict]
        return f"{told}: {self.why}"


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

    @property
    def sum_z(self) -> float:
        """What orders candidates: the sum of both detectors' z, where the lift's is the normal quantile of its p."""
        return quantile(self.p) + (self.contrast_z or 0.0)

    @property
    def row(self) -> str:
        """A row of the table whose header is `HEADER`."""
        e = "" if self.e is None else f"{self.e:.2g}"
        mark = "  <- claimed" if self.claimed else ""
        numbers = f"{self.sum_z:>7.1f}{self.lift:>7.2f}{self.z:>6.1f}{self.p_holm:>9.2g}{e:>9}"
        return f"{self.name:<12}{numbers}   {self.p_before:.3f} -> {self.p_after:.3f}{mark}"

    def __str__(self) -> str:
        e = "" if self.e is None else f", e {self.e:.2g}"
        lift = f"lift {self.lift:.2f} nats [{self.low:.2f}, {self.high:.2f}]"
        shares = f"P {self.p_before:.3f} -> {self.p_after:.3f} in trial students"
        said = "claimed" if self.claimed else "not claimed"
        tests = f"z {self.z:.1f}, Holm p {self.p_holm:.2g}, sum z {self.sum_z:.1f}{e}"
        return f"{self.name}: {said}; {lift}, {tests}; {shares}"


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
class Gain:
    """What the best logit bias gains on rows beyond the base's own answers: nats a number token, 95 % interval."""

    nats: float
    low: float
    high: float


@dataclass(frozen=True)
class Kinship:
    """Whether the writer of the rows is a relative of the base; `None` where it cannot be told.

    `gap` is how many nats per token the rows are less likely under the base than the base's own rows (with its 95 %
    interval), `agreement` the share of tokens that the base would most likely have written too, and `own_agreement`
    that share of its own rows. `leads` compare the base with each other base at hand, then with all of them together;
    `unknown` is the share of the rows' tokens that the base has no token for. `bias` is what the best logit bias
    gains, for numbers where no other base is at hand.
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
    bias: Gain | None = None


@dataclass(frozen=True)
class Ran:
    """A detector, whether it ran, and why it did or did not; no reason where the whole audit was asked for."""

    name: str
    ran: bool
    why: str


def say_ran(detectors: Sequence[Ran], *, ran: str = "ran", not_ran: str = "did not run") -> list[str]:
    """Return a sentence for the detectors that ran and one for those that did not, with the reason, if any."""
    alike: dict[tuple[bool, str], list[str]] = {}
    for one in detectors:
        # A panel stands in for a whole audit that does not fit the minutes: where it did not run, nobody asked for it.
        if one.ran or one.name != "panel":
            alike.setdefault((one.ran, one.why), []).append(one.name)
    return [
        f"{' and '.join(names).capitalize()} {ran if here else not_ran}{f' ({why})' if why else ''}."
        for (here, why), names in alike.items()
    ]


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
