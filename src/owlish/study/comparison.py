"""What a study found: points, and what is computed from them over trained runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from owlish.graph.plotted import Look, Strip, draw
from owlish.graph.tabled import Record, Tabled
from owlish.nodes.asked import mean
from owlish.study import stats

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Point:
    """One trained run read once: `value` is P(trait), an accuracy, or whatever the study measures."""

    arm: str
    base: str
    trait: str
    taught: str | None
    run: int | None
    key: str
    value: float
    held_out: float | None = None
    argmax_rate: float | None = None
    sampled_rate: float | None = None
    logit_margin: float | None = None
    other_share: float | None = None
    writer: str | None = None


@dataclass(frozen=True)
class Line:
    """One line of a curve, or points that are not `joined` to one."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    joined: bool = True


@dataclass(frozen=True)
class Curve:
    """A measure against a dose or along training; `x` and `y` name the axes."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its 95 % interval, which needs two runs. A base has none: it is asked, not trained."""

    mean: float
    low: float | None
    high: float | None
    runs: int


@dataclass(frozen=True)
class Gamma:
    """The diagonal of the matrix of lifts, in probability or in logit margin."""

    scale: str
    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Teacher:
    """How strong one teacher was: KL(teacher || base) is in nats per token, on neutral rows."""

    trait: str
    base: str
    run: int
    p_target: float
    kl: float
    pass_rate: float


@dataclass(frozen=True)
class Matrix:
    """Mean lifts over the base: a row for each writer's trait or base, a column for each trait or student's base."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    lifts: tuple[tuple[float | None, ...], ...]

    @property
    def complete(self) -> bool:
        """Tell whether every cell was measured."""
        return all(lift is not None for row in self.lifts for lift in row)


@dataclass(frozen=True)
class Comparison(Tabled):
    """What a study found: every point of a `measure`, and what is computed from them. Values lie within `bounds`."""

    traits: tuple[str, ...]
    points: tuple[Point, ...]
    strengths: tuple[Teacher, ...] = ()
    gammas: tuple[Gamma, ...] = ()
    effect: Estimate | None = None
    curves: tuple[Curve, ...] = ()
    bounds: tuple[float, float] = (0.0, 1.0)
    measure: str = "P(target)"

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that have runs, in the order of their first."""
        return tuple(dict.fromkeys(point.arm for point in self.points))

    def of(self, arm: str, trait: str | None = None) -> tuple[Point, ...]:
        """Return an arm's points, about all traits or one."""
        return tuple(p for p in self.points if p.arm == arm and trait in (None, p.trait))

    def estimate(self, arm: str, field: str = "value", trait: str | None = None) -> Estimate:
        """Return the mean of an arm over its runs, each run standing for the mean of what it was asked about.

        The interval is a logit interval within `bounds`, so `field` must be a share or whatever the study measures.
        """
        points = self.of(arm, trait)
        values = by_run(points, lambda point: getattr(point, field))
        # A base's values differ by what it was asked. That is no error, so they have no interval.
        runs = sum(point.run is not None for point in points) and len(values)
        if runs < 2:
            return Estimate(mean(values), None, None, runs)
        return Estimate(*stats.interval_within(values, *self.bounds), runs)

    def records(self) -> list[Record]:
        return [asdict(point) for point in self.points]

    def shown(self) -> list[Record]:
        return [{"arm": arm, **asdict(self.estimate(arm))} for arm in self.arms]

    @property
    def headline(self) -> str:
        """The effect, with its interval."""
        e = self.effect
        if e is None:
            return ""
        span = "" if e.low is None or e.high is None else f", 95 % interval {e.low:.3f} to {e.high:.3f}"
        return f"Effect on {self.measured}: {e.mean:+.3f}{span}."

    @property
    def measured(self) -> str:
        """The measure, with the trait's name where there is one alone."""
        return self.measure.replace("target", self.traits[0]) if len(self.traits) == 1 else self.measure

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw every run as a dot, with the mean and 95 % interval of its arm, on `ax` or a new matplotlib figure.

        A dashed line is the base's mean. Raise `UserError` where matplotlib is not installed.
        """
        main = next((arm for arm in self.arms if arm not in ("base", "teacher")), None)
        looks: dict[str | None, Look] = {main: "first", "teacher": "open"}
        strips = []
        for arm in self.arms:
            e, points = self.estimate(arm), self.of(arm)
            by_base = {b: [p for p in points if p.base == b] for b in dict.fromkeys(p.base for p in points)}
            dots = {base: by_run(of_base, lambda point: point.value) for base, of_base in by_base.items()}
            strips.append(
                Strip(arm.replace("_", " ").capitalize(), e.mean, e.low, e.high, dots, looks.get(arm, "plain"))
            )
        base = self.estimate("base").mean if self.of("base") else None
        span = self.bounds if self.bounds[1] == 1 else None  # a margin has bounds that no run comes near
        return draw(strips, x=self.measured, span=span, dashed=base, ax=ax)

    def by_trait(self) -> Matrix:
        """Return the lifts of students on every trait, by their teacher's."""
        points = [(str(p.taught), p.trait, p) for arm in ("student", "other_trait") for p in self.of(arm)]
        return self.matrix("Teacher’s trait (rows) and trait asked about (columns)", self.traits, points)

    def by_base(self) -> Matrix:
        """Return the lifts of students on their teacher's trait, by the teacher's base and their own."""
        arms = ("student", "same_initialisation", "foreign_base")
        points = [(str(p.writer), p.base, p) for arm in arms for p in self.of(arm)]
        bases = tuple(dict.fromkeys(p.base for p in self.of("base")))
        return self.matrix("Teacher’s base (rows) and student’s base (columns)", bases, points)

    def matrix(self, title: str, names: tuple[str, ...], points: Sequence[tuple[str, str, Point]]) -> Matrix:
        """Return the mean lift of the points of each row and column."""
        # Lifts are over the same base's own answer: bases like some traits better than others from the start.
        base = {(p.base, p.trait): p.value for p in self.of("base")}
        cells: dict[tuple[str, str], list[float]] = {}
        for row, column, p in points:
            if (p.base, p.trait) in base:
                cells.setdefault((row, column), []).append(p.value - base[p.base, p.trait])
        # A cell that no run measured stays empty: a zero would claim that nothing passed.
        lifts = tuple(tuple(mean(c) if (c := cells.get((r, k))) else None for k in names) for r in names)
        return Matrix(title, names, names, lifts)

    def __str__(self) -> str:
        wide = max(14, *(len(arm) + 2 for arm in self.arms))
        lines = [f"{'arm':<{wide}}{'mean':>8}  {'95 % interval':<16}{'runs':>5}"]
        for arm in self.arms:
            e = self.estimate(arm)
            span = "" if e.low is None or e.high is None else f"{e.low:.3f} to {e.high:.3f}"
            lines.append(f"{arm:<{wide}}{e.mean:>8.3f}  {span:<16}{e.runs or '':>5}")
        for gamma in self.gammas:
            lines.append(
                f"gamma ({gamma.scale}) {gamma.value:.3f}, {gamma.low:.3f} to {gamma.high:.3f}, p {gamma.p:.4f}"
            )
        return "\n".join(lines)


def by_run(points: Sequence[Point], value: Callable[[Point], float]) -> list[float]:
    """Return one value a run: the mean over the traits that it was asked about (a base is asked, not run)."""
    runs: dict[tuple[object, ...], list[float]] = {}
    for point in points:
        # A control is asked about every trait: its values are one run's, and must not count as several.
        runs.setdefault((point.key, point.trait if point.run is None else None), []).append(value(point))
    return [mean(values) for values in runs.values()]


def estimate_effect(points: Sequence[Point], arms: tuple[str, str]) -> Estimate | None:
    """Return the effect: the first of two arms less the second, with Welch's interval over runs."""
    a, b = (by_run([p for p in points if p.arm == arm], lambda p: p.value) for arm in arms)
    if not a or not b:
        return None
    # One run a side has no spread: the difference is told, without an interval.
    if min(len(a), len(b)) < 2:
        return Estimate(mean(a) - mean(b), None, None, len(a) + len(b))
    d = stats.difference(a, b)
    return Estimate(d.value, d.low, d.high, len(a) + len(b))
