"""What a pipeline is told of a verdict, whatever the format of its report: findings, where they lie, what fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from owlish.audit.evidence import Finding, Weighed
from owlish.audit.verdict import Verdict
from owlish.data.hub import is_hosted
from owlish.diff.verdict import Difference
from owlish.diff.verdict import Finding as Moved

Tool = Literal["audit", "diff"]
Result = Literal["claimed", "passed", "open"]


@dataclass(frozen=True)
class Candidate:
    """One candidate trait: claimed, passed (ruled out) or open, and what was measured of it, in a sentence."""

    name: str
    category: str
    result: Result
    says: str


@dataclass(frozen=True)
class Spot:
    """A place in a file, a line or an item or row of a file that is not read by lines, and what is to be said of it."""

    file: str
    unit: str
    number: int
    says: str
    digest: str


@dataclass(frozen=True)
class Outcome:
    """A verdict on `subject`, which lies in `files`; `fails` says whether its exit code is other than 0.

    `details` are facts by name, `remarks` what a stamp claims that does not hold.
    """

    tool: Tool
    subject: str
    files: tuple[str, ...]
    verdict: str
    why: str
    next: str
    fails: bool
    candidates: tuple[Candidate, ...]
    spots: tuple[Spot, ...]
    remarks: tuple[str, ...]
    details: dict[str, str]
    version: str
    date: str | None
    seconds: float


def of_audit(verdict: Verdict, files: Sequence[str], *, fails: bool, seconds: float) -> Outcome:
    """Return what a pipeline is told of an audit of `files`."""
    # A dataset on the Hub is no file of this repository that a report could point at.
    here = tuple(file for file in files if not is_hosted(file))
    facts = {"base": verdict.base, "recipe": verdict.recipe, "content": verdict.content, "seed": verdict.seed}
    facts |= {"judge": f"{verdict.judge.model}: {verdict.judge.says}"} if verdict.judge else {}
    return Outcome(
        tool="audit",
        subject=verdict.data.removeprefix("rows of "),
        files=here,
        verdict=verdict.verdict,
        why=verdict.why,
        next=verdict.next,
        fails=fails,
        candidates=tuple(candidate(finding, verdict) for finding in verdict.traits),
        spots=tuple(spot(row, verdict, here) for row in verdict.weighed if row.place and here),
        remarks=tuple(f"stamp of {one.stamp.file}, {check}" for one in verdict.stamps for check in one.wrong),
        details={name: str(value) for name, value in facts.items() if value is not None},
        version=verdict.version,
        date=verdict.made.date if verdict.made else None,
        seconds=seconds,
    )


def candidate(finding: Finding, verdict: Verdict) -> Candidate:
    """Return what an audit says of a candidate."""
    measured = f"lift {finding.lift:.2f} nats, 95 % interval {finding.low:.2f} to {finding.high:.2f}"
    shares = f"P goes from {finding.p_before:.3f} to {finding.p_after:.3f} in trial students"
    says = f"a student of {verdict.base} by the recipe {verdict.recipe} would pick up {finding.name}"
    open_still = f"{finding.name} is not claimed" if verdict.verdict == "nothing" else f"{finding.name} is open"
    said = says if finding.claimed else open_still
    return Candidate(
        finding.name, finding.category, result(finding.claimed, verdict.verdict), f"{said}: {shares}; {measured}."
    )


def result(claimed: bool, verdict: str) -> Result:
    """Return what became of a candidate: one is ruled out only where nothing was found."""
    if claimed:
        return "claimed"
    # A second trait hides behind a stronger one: beside a finding the others are not cleared.
    return "passed" if verdict == "nothing" else "open"


def spot(row: Weighed, verdict: Verdict, files: Sequence[str]) -> Spot:
    """Return where a row stands that leans to the first trait."""
    assert row.place is not None
    says = f"this row leans to {verdict.traits[0].name} by {row.score:.2f} nats."
    return Spot(row.place.file or files[0], row.place.unit, row.place.number, says, row.sha256)


def of_diff(verdict: Difference, student: str, *, fails: bool, seconds: float) -> Outcome:
    """Return what a pipeline is told of a diff of the student that the command line calls `student`."""
    facts = {"base": verdict.base, "null": verdict.null or "none"}
    return Outcome(
        tool="diff",
        subject=student,
        files=(student,) if Path(student).exists() else (),
        verdict=verdict.verdict,
        why=verdict.why,
        next="see the readings in the page or with --json.",
        fails=fails,
        candidates=tuple(moved(finding, verdict.verdict) for finding in verdict.traits),
        spots=(),
        remarks=(),
        details=facts,
        version=verdict.version,
        date=None,
        seconds=seconds,
    )


def moved(finding: Moved, word: str) -> Candidate:
    """Return what a diff says of a candidate."""
    best = finding.best
    shares = f"P goes from {best.p_before:.3f} in null students to {best.p_after:.3f} ({best.context})"
    says = f"the student picked up {finding.name}" if finding.claimed else f"{finding.name} is not claimed"
    return Candidate(
        finding.name, finding.category, result(finding.claimed, word), f"{says}: {shares}; lift {best.lift:.2f} nats."
    )
