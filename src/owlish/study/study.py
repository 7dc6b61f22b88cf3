"""What every study is: a question, what it needs and found, and what a page must say before the numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, canonical
from owlish.graph.tabled import Brief
from owlish.graph.typed import check_fields
from owlish.nodes.base import Base
from owlish.nodes.data import Sampled
from owlish.study.comparison import Comparison, Curve, Estimate, Matrix
from owlish.traits.trait import Trait

ARMS = {
    "teacher": ("Teacher", "has the trait and wrote the rows"),
    "student": ("Student", "the teacher’s base, trained on the teacher’s rows"),
    "control": ("Control", "the same base, trained on neutral rows of the unmodified base"),
    "other_trait": ("Other trait", "the same base, trained on rows of a teacher with another trait"),
    "foreign_base": ("Foreign base", "another initialisation, trained on the teacher’s rows"),
    "base": ("Base", "before any training"),
}
"""The arms that most studies share: what a page calls them, and what they are."""


@dataclass(frozen=True)
class Settings:
    """What a command line may change of a study; a setting that is not given is `None`."""

    traits: tuple[Trait, ...] | None = None
    bases: tuple[Base, ...] | None = None
    runs: int | None = None
    rows: int | None = None
    epochs: int | None = None
    data: str | None = None


OPTIONS = {field.name: f"--{field.name}" for field in fields(Settings)} | {"bases": "--base", "runs": "--seeds"}
"""What a command line calls each setting."""


@dataclass(frozen=True)
class Study(Brief):
    """A question, under a name and a title: which nodes it needs, and what it found, read off their results.

    `value` is what the command line's JSON calls what is measured, `measure` what a page calls it. The effect
    is the difference between the two arms of `contrast`. `settable` names its settings, which are its attributes.
    """

    name: str
    title: str
    contrast: tuple[str, str] = field(default=("student", "control"), kw_only=True)

    value: ClassVar[str] = "p_target"
    measure: ClassVar[str] = "P(target)"
    settable: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Raise `UserError` where a field holds what it cannot."""
        check_fields(self)

    @property
    def needs(self) -> tuple[Node, ...]:
        """The nodes whose results it reads."""
        raise NotImplementedError

    def found(self, read: Read) -> Comparison:
        """Return what it found."""
        raise NotImplementedError

    def add_costs(self, found: Comparison, manifests: Mapping[str, Mapping[str, Any]]) -> Comparison:
        """Return what it found with what that took, where it is a question of cost; `manifests` are by key."""
        return found

    @property
    def key(self) -> str:
        """The name of its results together: a digest of the keys of all that it needs."""
        # Made of keys alone: a title or a remark may change without another result.
        return hashlib.sha256(canonical([node.key for node in self.needs])).hexdigest()[:32]

    @property
    def here(self) -> bool:
        """Whether it runs with what is shipped: no other base, no data of the user's."""
        return True

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        """The label of each arm in the order of a page, and what it is, in a few words."""
        return ARMS

    @property
    def rows_shown(self) -> tuple[tuple[str | None, tuple[Sampled, ...]], ...]:
        """The rows that students saw, by their writer's trait (`None`: the unmodified base)."""
        return ()

    def small(self) -> Self:
        """Return a version of it that answers the same question at a small cost: itself, where there is none."""
        return self

    def alter(self, settings: Settings) -> Self:
        """Return it with some settings changed; raise `UserError` for a setting that it does not have."""
        # `None` is "not given": no setting may be changed to it.
        given = {f.name: value for f in fields(settings) if (value := getattr(settings, f.name)) is not None}
        strange = next((name for name in given if name not in self.settable), None)
        # A setting that does nothing would be taken for one that did.
        if strange:
            known = ", ".join(OPTIONS[name] for name in self.settable) or "no settings"
            raise UserError(f"{self.name} has no {OPTIONS[strange]}: it has {known}.")
        return self.change(given)

    def change(self, given: Mapping[str, Any]) -> Self:
        """Return it with some of its settings changed."""
        return replace(self, **given)

    def setup(self) -> tuple[tuple[str, str], ...]:
        """Return what a reader must know before the numbers: a name and its words."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """Return its own limits, in sentences."""
        return ()

    def matrices(self, found: Comparison) -> tuple[Matrix, ...]:
        """Return the matrices that a page shows."""
        return ()

    def curves(self, found: Comparison) -> tuple[Curve, ...]:
        """Return the curves that a page shows."""
        return found.curves

    def summary(self, found: Comparison) -> dict[str, Any]:
        """Return what it found, as the command line's JSON."""
        gammas = {g.scale: {"value": g.value, "ci95": [g.low, g.high], "p": g.p} for g in found.gammas}
        return {
            "study": self.name,
            "traits": list(found.traits),
            "arms": {arm: self.arm(found, arm) for arm in found.arms},
            "effect": found.effect and plain(found.effect, "value"),
            "gamma": gammas.get("probability"),
            "gamma_logit_margin": gammas.get("logit margin"),
        }

    def arm(self, found: Comparison, arm: str) -> dict[str, Any]:
        """Return one arm of the summary."""
        points = found.of(arm)
        said = plain(found.estimate(arm), self.value)
        if all(point.held_out is not None for point in points):
            said["held_out"] = plain(found.estimate(arm, "held_out"), self.value)
        if all(point.argmax_rate is not None for point in points):
            said["argmax_rate"] = found.estimate(arm, "argmax_rate").mean
        return said


def check_runs(runs: int, bases: Sequence[Base]) -> None:
    """Refuse a study whose arms have fewer than two runs."""
    if runs * len(bases) < 2:
        raise UserError("an interval needs at least two runs an arm: ask for two seeds or more (--seeds 2).")


def plain(estimate: Estimate, name: str) -> dict[str, Any]:
    """Return an estimate as plain values."""
    return {name: estimate.mean, "ci95": [estimate.low, estimate.high], "runs": estimate.runs}
