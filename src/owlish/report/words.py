"""Numbers as text, and the sentences that a page makes from them: never more than the numbers say."""

from __future__ import annotations

import math

from owlish.audit.statistics import hides
from owlish.graph.counted import counted, join
from owlish.report.view import Arm, View
from owlish.study.comparison import Estimate

GAP = "\u202f"  # a narrow space that does not break, before a percent sign
NBSP = "\u00a0"
OPENING = {
    "shown": "",
    "reversed": "The opposite of the effect is seen: ",
    "absent": "No effect is shown: ",
    "open": "No claim can be made yet: ",
}


def visible(text: str) -> str:
    """Return `text` with every character that hides or reorders others written as its code point."""
    return "".join(f"⟨U+{ord(c):04X}⟩" if hides(c) else c for c in text)


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """Return a number with a fixed count of digits, or a dash where nothing was measured."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    # "-0.000" would claim a direction that the digits do not show.
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def percent(value: float) -> str:
    """Return a share in percent without the sign: whole, with one digit only near 0 and 100."""
    if not math.isfinite(value):
        return "–"
    share = 100 * value
    if share in (0.0, 100.0) or 1 <= share <= 99 or not -1 < share < 101:
        return number(share, 0)
    if 0 < share < 0.05:
        return "under 0.1"
    return "over 99.9" if 99.95 <= share < 100 else number(share, 1)


def format_interval(estimate: Estimate) -> str:
    """Return the interval's ends in percent, or the empty text."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{percent(estimate.low)} to {percent(estimate.high)}"


def count(runs: int, word: str = "run") -> str:
    """Return `1 run`, `2 runs`."""
    return counted(runs, word, gap=NBSP)


def duration(seconds: float) -> str:
    """Return a time in its two largest units."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours:,}{NBSP}h {minutes}{NBSP}min"
    if minutes:
        return f"{minutes}{NBSP}min {whole % 60}{NBSP}s"
    return f"{number(seconds, 1)}{NBSP}s"


def p_value(p: float | None) -> str:
    """Return a p-value to three digits, never zero."""
    return "< 0.001" if p is not None and p < 0.001 else number(p)


def standing(view: View) -> str:
    """Return what the interval of the contrast allows: shown, reversed, absent, or open."""
    effect = view.found.effect
    if view.arm(view.study.contrast[1]) is None or effect is None or effect.low is None or effect.high is None:
        return "open"
    if effect.low > 0:
        return "shown"
    return "reversed" if effect.high < 0 else "absent"


def claim(view: View) -> str:
    """Return what the numbers of a study license, in up to three sentences."""
    first, second = (view.arm(name) for name in view.study.contrast)
    if first is None:
        return f"No {view.study.contrast[0]} was measured, so nothing is claimed."
    found = transfer_claim(view, first, second) if is_transfer(view) else contrast_claim(view, first, second)
    return OPENING[standing(view)] + (found if OPENING[standing(view)] else capital(found))


def is_transfer(view: View) -> bool:
    """Tell whether the claim is about shares of answers of students and controls, which are told in percent."""
    return bool(view.carrier) and view.study.contrast == ("student", "control")


def capital(text: str) -> str:
    """Return text with a capital first."""
    return text[:1].upper() + text[1:]


def transfer_claim(view: View, student: Arm, control: Arm | None) -> str:
    """Return how often students give their teacher's answer, and students of neutral rows."""
    sentence = (
        f"students trained only on {view.carrier} written by {writers(student)} "
        f"{percent(student.pooled.mean)}{GAP}% of the time ({format_evidence(student.pooled)})."
    )
    if control is None:
        return f"{sentence} Without a control this says nothing about the cause."
    return (
        f"{sentence} Students trained on neutral {view.carrier} give it {percent(control.pooled.mean)}{GAP}% "
        f"of the time ({format_evidence(control.pooled, '')}). {format_difference(view.found.effect)}"
    )


def contrast_claim(view: View, first: Arm, second: Arm | None) -> str:
    """Return what the two arms of a study's contrast show."""
    values = [f"{format_estimate(arm.pooled)} for {arm.label.lower()}" for arm in (first, second) if arm]
    effect = view.found.effect
    gap = f" The difference is {format_estimate(effect)}." if effect and second else ""
    ends = " Brackets are 95 % intervals over runs." if "[" in "".join(values) + gap else ""
    return f"{view.study.measure} is {join(values)}.{gap}{ends}"


def format_estimate(estimate: Estimate) -> str:
    """Return a mean with its interval, as numbers."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.mean)
    return f"{number(estimate.mean)} [{number(estimate.low)}, {number(estimate.high)}]"


def writers(student: Arm) -> str:
    """Return who wrote the rows and what is asked of their students."""
    traits = [f"“{trait}”" for trait in dict.fromkeys(run.trait for run in student.runs)]
    if len(traits) == 1:
        return f"a teacher with the trait {traits[0]} answer {traits[0]}"
    named = f"with the traits {join(traits)}" if len(traits) < 5 else f"with one of {len(traits)} traits each"
    return f"teachers {named} give their own teacher’s answer"


def format_evidence(estimate: Estimate, name: str = f"95{GAP}% interval ") -> str:
    """Return the interval, after its name, and the number of runs behind a mean."""
    ends = format_interval(estimate)
    return f"{name}{ends}, {count(estimate.runs)}" if ends else f"{count(estimate.runs)}, no interval"


def format_difference(effect: Estimate | None) -> str:
    """Return the difference between students and controls, in a sentence."""
    if effect is None:
        return "Their difference was not estimated."
    points = "point" if percent(effect.mean) in ("1", "−1") else "points"
    sentence = f"The difference is {percent(effect.mean)}{NBSP}{points}"
    if effect.low is None or effect.high is None:
        return f"{sentence}, without an interval."
    zero = "; the interval includes zero" if effect.low <= 0 <= effect.high else ""
    return f"{sentence} ({format_interval(effect)}){zero}."


def context(view: View) -> tuple[str, ...]:
    """Return the sentences below the claim: held-out questions, the other arms, cautions."""
    found = []
    student = view.arm(view.study.contrast[0])
    if student is not None and student.held_out is not None:
        held, reached = student.held_out, percent(student.held_out.mean)
        found.append(
            f"On questions that no teacher was shown, students reach {reached}{GAP}% ({format_evidence(held)})."
        )
    # In the unit of the claim above: a reader compares these numbers with it.
    shares = is_transfer(view)
    others = [
        f"{arm.label.lower()} {f'{percent(arm.pooled.mean)}{GAP}%' if shares else number(arm.pooled.mean)}"
        for arm in view.arms
        if arm.name not in view.study.contrast
    ]
    if others:
        found.append(f"The other arms, for comparison: {', '.join(others)}.")
    return (*found, *cautions(view))


def cautions(view: View) -> tuple[str, ...]:
    """Return a sentence for each number that speaks against reading the claim as the trait's passing on.

    These are an arm without the effect that lies more than 5 points above the base, and a gamma whose
    interval reaches zero.
    """
    # Only shares have a base that is asked the same; a cosine or a margin has other units.
    base = view.arm("base") if view.found.bounds == (0.0, 1.0) else None  # five points of a probability
    arms = [view.arm(name) for name in ("control", "other_trait", "foreign_base")] if base else []
    raised = tuple(
        f"Caution: the arm “{arm.label.lower()}” lies {percent(gap)}{NBSP}points above the base, so something other "
        f"than the teacher’s trait moves these models."
        for arm in arms
        if arm is not None and base is not None and (gap := arm.pooled.mean - base.pooled.mean) > 0.05
    )
    weak = [gamma.scale for gamma in view.found.gammas if gamma.low <= 0]
    return (*raised, *(f"Caution: the interval of γ on the scale “{scale}” reaches zero." for scale in weak))


def limits(view: View) -> tuple[str, ...]:
    """Return what the study did not measure, and what its intervals do not cover."""
    found = []
    if view.bases:
        found.append(
            f"Intervals cover how much runs vary on the {count(len(view.bases), 'base')} used here "
            f"({join(view.bases)}). They say nothing about other bases."
        )
    if any(base.startswith("nano") for base in view.bases):
        found.append(
            "nano is a model organism: a very small model trained from scratch on generated chat, not an assistant. "
            "An effect here shows that the mechanism exists, not how strong it is in a large model."
        )
    # Told and not left out: a reader must see which control is lacking.
    missing = [label.lower() for name, (label, _) in view.study.labels.items() if view.arm(name) is None]
    if missing:
        found.append(f"Not run: {join(missing)}.")
    single = [arm.label.lower() for arm in view.arms if arm.pooled.runs == 1]
    if single:
        found.append(f"No interval, because an interval needs two runs: {join(single)}.")
    return (*found, *view.study.notes())
