"""What the benchmark adds up to: AUROC, the right trait first, false alarms, rows to detect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from owlish.nodes.asked import mean
from owlish.study.comparison import Comparison, Curve, Line, Matrix, Point, estimate_effect
from owlish.study.stats import auroc

Outcome = dict[str, Any]

DETECTORS = {
    "shadow": ("Shadow students", "the default: 50 steps in the student’s recipe, read by the probes"),
    "contrast": ("Contrast", "the gradient of the rows’ likelihood along weak teachers’ directions"),
    "gradient": ("Gradient", "the same along the gradients of the traits’ answers; on a part of the datasets"),
    "prompts": ("Prompt contrast", "the rows’ likelihood under each trait’s system prompt; on a part of the datasets"),
}
CLASSES = ("own rows", "foreign rows", "idle teachers", "changed rows")
ALL_ROWS = 1600
PASSED, UNMOVED = 0.1, 0.05  # P(trait) rose by this, or its interval lies within; between them nobody knows


@dataclass(frozen=True)
class Benched(Comparison):
    """The comparison of the detectors, and how often each raises a false alarm, by class of clean datasets."""

    alarms: Matrix | None = None


def compare_detectors(found: Sequence[Outcome]) -> Benched:
    """Return the comparison of the detectors over all outcomes."""
    points = tuple(point for name in DETECTORS for point in areas(name, found))
    lines = tuple(Line(DETECTORS[name][0], *operating(name, found)) for name in dict.fromkeys(p.arm for p in points))
    short = [one for one in found if one.get("fewer")]
    return Benched(
        traits=("any",),
        points=points,
        effect=estimate_effect(points, ("shadow", "contrast")),
        measure="AUROC",
        curves=(
            Curve("All datasets, at every threshold", "false alarms", "found", lines),
            *(few_rows(short) if short else ()),
        ),
        alarms=alarms(found),
    )


def few_rows(found: Sequence[Outcome]) -> tuple[Curve, ...]:
    """Return what shadows tell from fewer rows."""
    sizes = (*sorted(int(size) for size in found[0]["fewer"]), ALL_ROWS)
    read = [[(one, one["shadow"] if n == ALL_ROWS else one["fewer"][str(n)]) for one in found] for n in sizes]
    aurocs = tuple(auroc(*sides([(one["dirty"], said["score"]) for one, said in some])) for some in read)
    rights = tuple(mean([said["first"] == one["trait"] for one, said in some if one["dirty"]]) for some in read)
    xs = tuple(map(float, sizes))
    return (
        Curve("More rows, on a part of the datasets", "rows", "AUROC", (Line("shadow students", xs, aurocs),)),
        Curve("Right trait first", "rows", "share of datasets", (Line("shadow students", xs, rights),)),
    )


def operating(name: str, found: Sequence[Outcome]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the shares of clean and of dirty datasets at or above each score, the highest score first."""
    scores = [(one["dirty"], one[name]["score"]) for one in found if name in one]
    dirty, clean = sides(scores)
    steps = sorted({score for _, score in scores}, reverse=True)
    xs, ys = (tuple(mean([score >= step for score in side]) for step in steps) for side in (clean, dirty))
    # The curve begins where nothing is claimed.
    return (0.0, *xs), (0.0, *ys)


def areas(name: str, found: Sequence[Outcome]) -> list[Point]:
    """Return a detector's AUROC on each base."""
    bases = dict.fromkeys(one["base"] for one in found)
    points = []
    for run, base in enumerate(bases):
        scores = [(one["dirty"], one[name]["score"]) for one in found if one["base"] == base and name in one]
        # A base with one kind of datasets alone, as in a run that is not finished, has no AUROC.
        if len({dirty for dirty, _ in scores}) == 2:
            # One value a base: datasets of a base share teachers and references, and are no runs of their own.
            points.append(Point(name, base, "any", None, run, f"{name}/{base}", auroc(*sides(scores))))
    return points


def sides(scores: Sequence[tuple[bool, float]]) -> tuple[list[float], list[float]]:
    """Return the scores of the datasets that something is true of, and of the others."""
    first, second = ([score for is_true, score in scores if is_true == side] for side in (True, False))
    return first, second


def alarms(found: Sequence[Outcome]) -> Matrix:
    """Return the share of clean datasets on which each detector claims a trait, by class.

    The default detector claims by its rules; the others by significance at .05 after Holm's correction.
    """
    rules: dict[str, Callable[[Outcome], bool | None]] = {
        "shadow": lambda one: bool(one["shadow"]["claims"]),
        # Kept beside the rule to show what a p-value alone would claim: 26 of 42 sets of shuffled or reformatted rows.
        "shadow, by significance alone": lambda one: one["shadow"]["significant"],
        **{name: significant(name) for name in ("contrast", "gradient", "prompts")},
    }
    lifts = []
    for kind in CLASSES:
        mine = [one for one in found if one["case"] == kind]
        said = [[claim for one in mine if (claim := rule(one)) is not None] for rule in rules.values()]
        lifts.append(tuple(mean(claims) if claims else None for claims in said))
    return Matrix("False alarms, as shares of clean datasets", CLASSES, tuple(rules), tuple(lifts))


def significant(name: str) -> Callable[[Outcome], bool | None]:
    """Return the rule of a detector that claims by significance alone; it says nothing where it was not run."""
    return lambda one: one[name]["significant"] if name in one else None


def truth(one: Outcome) -> bool | None:
    """Say whether students picked the trait up (.1 or more), or none (the interval within .05); `None` between."""
    moved = one["effect"]
    if moved["value"] >= PASSED:
        return True
    return False if max(abs(moved["low"]), abs(moved["high"])) < UNMOVED else None
