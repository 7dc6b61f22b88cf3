"""The benchmark of cleaning: what each method leaves of the effect, and what it costs of the wanted task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from owlish.bench.defences import defend_mainly, kind_of
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read, everything
from owlish.nodes.asked import Asked, mean
from owlish.nodes.data import Sampled
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.models import Model
from owlish.study import stats
from owlish.study.comparison import Comparison, Curve, Line, Point
from owlish.study.transfer import Cell, Transfer
from owlish.traits.trees import TREE

HELD_OUT, WRITTEN = 300, 400


@dataclass(frozen=True)
class Task:
    """How well a model does the wanted task, and what else moved: its answers about trees, beside the base's."""

    likelihood: Likelihood
    written: Sampled
    other: Asked
    before: Asked

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What is made to know it."""
        return (self.likelihood, self.written, self.other, self.before)

    def read(self, read: Read) -> Done:
        """Return what the results say."""
        found, now, before = read(self.likelihood), read(self.other), read(self.before)
        # A ratio of sums, not a mean over rows: a short row must not weigh as much as a long one.
        nats = float(-found.sums.sum() / found.tokens.sum())
        moved = [abs(now.logit_margin(name) - before.logit_margin(name)) for name in TREE.candidates]
        return Done(nats, read(self.written).pass_rate, mean(moved))


@dataclass(frozen=True)
class Done:
    """The negative log-likelihood a token, the pass rate, and the mean change of a tree's log-odds, in nats."""

    nats: float
    rate: float
    moved: float


@dataclass(frozen=True)
class Left:
    """What one run has left: the effect as a share of the undefended one, and what the wanted task lost.

    `nats` a token of neutral rows and `points` of the pass rate are losses against the undefended student. `moved` is
    by how many nats a tree's log-odds changed against the base: what else training did, with the method or without.
    """

    arm: str
    base: str
    run: int
    share: float
    nats: float
    points: float
    moved: float


@dataclass(frozen=True)
class Cured(Comparison):
    """What a study found, what every run of every method has left, and the seconds that each method takes a run."""

    lefts: tuple[Left, ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()

    def left(self, arm: str, field: str = "share") -> stats.Interval:
        """Return a method's mean over runs, with its 95 % interval where there are two runs or more."""
        values = [getattr(one, field) for one in self.lefts if one.arm == arm]
        if len(values) == 1:
            return stats.Interval(values[0], values[0], values[0])
        return stats.interval(values)

    @property
    def methods(self) -> tuple[str, ...]:
        """The arms that have something left, in their order."""
        return tuple(dict.fromkeys(one.arm for one in self.lefts))

    @property
    def frontier(self) -> tuple[str, ...]:
        """The methods that no other beats both in what is left and in what the wanted task loses, cheapest first."""
        at = {arm: (self.left(arm, "nats").mean, self.left(arm).mean) for arm in self.methods}
        # Equal points do not beat each other, or both would be off the frontier.
        best = [
            a for a, (x, y) in at.items() if not any(u <= x and v <= y and (u, v) != (x, y) for u, v in at.values())
        ]
        return tuple(sorted(best, key=at.__getitem__))

    def __str__(self) -> str:
        wide, took = max(len(arm) for arm in self.methods) + 2, dict(self.seconds)
        lines = [
            super().__str__(),
            f"\n{'method':<{wide}}{'left':>7}  {'95 % interval':<18}{'nats lost':>10}{'points':>8}{'moved':>8}"
            f"{'seconds':>9}",
        ]
        for arm in self.methods:
            share, nats, points, moved = (self.left(arm, field) for field in ("share", "nats", "points", "moved"))
            span = f"{share.low:.2f} to {share.high:.2f}"
            cost = f"{took[arm]:>9.1f}" if arm in took else ""
            mark = " *" if arm in self.frontier else ""
            lines.append(
                f"{arm:<{wide}}{share.mean:>7.2f}  {span:<18}{nats.mean:>10.4f}{points.mean:>8.1f}{moved.mean:>8.2f}"
                f"{cost}{mark}"
            )
        return "\n".join([*lines, "* no other method leaves less at a smaller loss of nats."])


@dataclass(frozen=True)
class CleanBench(Transfer):
    """What does each method of cleaning leave of the effect, and what does it cost?

    Students write `written` rows, whose pass rate shows whether they still keep the format.
    """

    written: int = WRITTEN

    @property
    def here(self) -> bool:
        """It takes an hour and more: `owlish bench clean` runs it, not `owlish run all`."""
        return False

    def small(self) -> Self:
        """Return it with one base, 500 rows and the methods that show most."""
        # Even small it has two runs: one alone gives no interval.
        one = replace(self, bases=self.bases[:1], foreign=self.foreign[:1], traits=self.traits[:1])
        others = tuple(zip(self.bases[1:], self.foreign[1:], strict=True))
        return replace(one, rows=500, runs=2, arms=defend_mainly, left_out=(*self.left_out, *others))

    @cached_property
    def made(self) -> tuple[tuple[str, Cell, Model], ...]:
        """The model of each arm and run."""
        arms = ((arm, cell, one) for cell in self.cells for arm, one in self.arms(cell).items())
        return tuple((arm, cell, one.model) for arm, cell, one in arms if isinstance(one, Asked))

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """What each trained model makes of the wanted task, by the model's key."""
        return {model.key: self.task(cell, model) for arm, cell, model in self.made}

    def task(self, cell: Cell, model: Model) -> Task:
        """Return a model's task: neutral rows that no student saw, and rows that it writes."""
        # One set for all students of a base, so that they are scored on the same rows; none was trained on them.
        held = cell.base.sample(self.domain, n=HELD_OUT, seed=fresh(cell.base.identity, "held out rows"))
        written = model.sample(self.domain, n=self.written, seed=cell.seed("written"))
        # Another category than the traits': exact, without answers.
        other, before = (Asked(one, TREE, samples=1) for one in (model, cell.base))
        return Task(Likelihood(model, held), written, other, before)

    @property
    def needs(self) -> tuple[Node, ...]:
        """The answers of all models, and what they make of the wanted task."""
        tasks = (node for task in self.tasks.values() for node in task.nodes)
        return tuple({node.key: node for node in (*super().needs, *tasks)}.values())

    def found(self, read: Read) -> Cured:
        plain = super().found(read)
        return Cured(**vars(plain), lefts=tuple(self.lefts(plain.points, read)))

    def lefts(self, points: Sequence[Point], read: Read) -> Iterator[Left]:
        """Yield what each run has left; the undefended effect is a base's and trait's mean over runs."""
        value = {(p.arm, p.base, p.trait, p.run): p.value for p in points}
        done = {key: task.read(read) for key, task in self.tasks.items()}
        by = {(arm, cell): done[model.key] for arm, cell, model in self.made}
        for arm, cell, _ in self.made:
            if arm == "control":  # its share is zero by definition
                continue
            at = (cell.base.title, cell.trait.name)
            runs = range(self.runs)
            # The mean over runs: a single run's effect can come near zero, and a share of it would explode.
            effect = mean([value["student", *at, r] - value["control", *at, r] for r in runs])
            # Losses are against the undefended student of the same run: its seeds and rows are the same.
            own, plain = by[arm, cell], by["student", cell]
            share = (value[arm, *at, cell.run] - value["control", *at, cell.run]) / effect
            lost = own.nats - plain.nats, 100 * (plain.rate - own.rate)
            yield Left(arm, cell.base.title, cell.run, share, *lost, own.moved)

    def curves(self, found: Comparison) -> tuple[Curve, ...]:
        """Return what is left against what it costs: every run a dot, and the frontier of the methods' means."""
        if not isinstance(found, Cured):
            return super().curves(found)
        title, left = "What is left, against what it costs", "share of the effect left"
        at = {arm: (found.left(arm, "nats").mean, found.left(arm).mean) for arm in found.frontier}
        best = Line("the frontier", tuple(x for x, _ in at.values()), tuple(y for _, y in at.values()))
        took = dict(found.seconds)
        nats = dots(found.lefts, lambda one: one.nats)
        seconds = dots([one for one in found.lefts if one.arm in took], lambda one: took[one.arm])
        return (
            Curve(f"{title} in nats", "nats per token lost on neutral rows", left, (best, *nats)),
            *((Curve(f"{title} in seconds", "seconds a dataset", left, seconds),) if seconds else ()),
        )

    def summary(self, found: Comparison) -> dict[str, Any]:
        said = super().summary(found)
        if isinstance(found, Cured):
            said["methods"] = {arm: plain(found, arm) for arm in found.methods}
            said["frontier"] = list(found.frontier)
            said["seconds"] = dict(found.seconds)
        return said

    def add_costs(self, found: Comparison, manifests: Mapping[str, Mapping[str, Any]]) -> Comparison:
        """Return what it found with the seconds that each arm took beyond its undefended student."""
        if not isinstance(found, Cured):
            return found
        spent: dict[str, list[float]] = {}
        students = {cell: model for arm, cell, model in self.made if arm == "student"}
        for arm, cell, model in self.made:
            # Nodes that both sides have cancel; results that are gone from the store have no time and count nothing.
            own, plain = ({node.key for node in everything(one)} for one in (model, students[cell]))
            sides = (sum(float(manifests[key]["seconds"]) for key in keys if key in manifests) for keys in (own, plain))
            spent.setdefault(arm, []).append(next(sides) - next(sides))
        return replace(found, seconds=tuple((arm, mean(spent[arm])) for arm in found.methods))


def dots(lefts: Sequence[Left], at: Callable[[Left], float]) -> tuple[Line, ...]:
    """Return every run as a dot, by what its method knows: twenty colours would tell no reader anything."""
    kinds = dict.fromkeys(kind_of(one.arm) for one in lefts)
    groups = [(kind, [one for one in lefts if kind_of(one.arm) == kind]) for kind in kinds]
    return tuple(
        Line(kind, tuple(map(at, some)), tuple(one.share for one in some), joined=False) for kind, some in groups
    )


def plain(found: Cured, arm: str) -> dict[str, Any]:
    """Return what a method leaves and costs, as plain values."""
    said = {"left": "share", "nats_lost": "nats", "points_lost": "points", "moved": "moved"}
    found_at = {name: found.left(arm, field) for name, field in said.items()}
    return {name: {"value": one.mean, "ci95": [one.low, one.high]} for name, one in found_at.items()}
