"""What the audit says of the first rows of a dataset, and the dataset itself with the trait that it passes on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from owlish.audit.contrast import Contrast
from owlish.audit.decide import decide, hangs_on_shadow
from owlish.audit.relative import kinship
from owlish.audit.shadow import Shadow, Shadowed
from owlish.graph.spec import Node, Read, Tick, Value
from owlish.nodes.data import Data
from owlish.nodes.likelihood import Likelihood, Likelihoods
from owlish.traits.trait import Trait


@dataclass(frozen=True)
class SizedCase(Value, kind="case of sizes"):
    """A dataset of a class, with the trait that its rows pass on, if they do."""

    name: str
    data: Data
    trait: Trait | None = None


@dataclass(frozen=True)
class FirstRows(Node, kind="weighed_rows", version=3):
    """What the audit says of the first `rows` rows of a dataset.

    A shadow is trained only where the verdict hangs on it; with `claims_alone`, where a claim does.
    """

    caption = "verdict on the first rows of {case.data}"

    case: SizedCase
    rows: int
    shadow: Shadow
    null: tuple[Shadow, ...]
    contrast: Contrast
    clean: tuple[Contrast, ...]
    likely: tuple[Likelihood, ...]
    own: tuple[Likelihood, ...]
    claims_alone: bool = False

    def inputs(self) -> tuple[Node, ...]:
        """Return what is read; the shadow is made here, if at all."""
        readings = (*self.null, self.contrast, *self.clean, *self.likely, *self.own)
        return (self.shadow.base, self.case.data, *readings)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "said.json").write_text(json.dumps(self.outcome(read, tick)))

    def load(self, folder: Path, read: Read) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / "said.json").read_text())
        return found

    def outcome(self, read: Read, tick: Tick) -> dict[str, Any]:
        """Return what was said, as plain values."""
        traits, null = self.shadow.traits, [read(one) for one in self.null]
        leaning, clean = read(self.contrast), [read(one) for one in self.clean]
        relative = self.related(read)
        found: dict[str, Any] = {
            "case": self.case.name,
            "base": str(self.shadow.base),
            "recipe": self.shadow.recipe.name,
            "trait": self.case.trait.name if self.case.trait else None,
            "data": self.case.data.key,
            "rows": self.rows,
            "relative": relative,
        }
        # Traits do not pass from strangers, so there is nothing left for a shadow to decide.
        if relative is False:
            return {**found, "verdict": "nothing", "claims": []}
        # Shadows cost most: none is trained where the contrast forbids a claim and their scatter forbids *nothing*.
        claim, nothing = hangs_on_shadow(traits, null, rows=self.rows, contrast=leaning, clean=clean)
        if not claim and (self.claims_alone or not nothing):
            return {**found, "verdict": "cannot_say", "claims": []}
        shadow = self.trained(read, tick)
        said = decide(traits, shadow, null, rows=self.rows, relative=relative, contrast=leaning, clean=clean)
        return {
            **found,
            "verdict": said.word,
            "claims": [finding.name for finding in said.findings if finding.claimed],
            "smallest": said.smallest,
            "enough": said.enough,
            "traits": {f.name: [f.lift, f.z, f.contrast_z, f.e, f.p_before, f.p_after] for f in said.findings},
        }

    def related(self, read: Read) -> bool | None:
        """Return whether the writer is a relative, as far as the first rows tell."""
        if not self.likely:  # not asked of this class: unknown, as in an audit without other bases
            return None
        found, own = ([first(read(one), self.rows) for one in some] for some in (self.likely, self.own))
        return kinship(found, own, [str(one.model) for one in self.likely[1:]]).relative

    def trained(self, read: Read, tick: Tick) -> Shadowed:
        """Return the shadow's reading."""
        # Whether a shadow is needed is known only after the other readings, so it cannot be a node of its own.
        with TemporaryDirectory() as place:
            self.shadow.compute(Path(place), read, tick)
            return self.shadow.load(Path(place), read)


def first(found: Likelihoods, rows: int) -> Likelihoods:
    """Return the likelihoods of the first rows."""
    return replace(found, sums=found.sums[:rows], tokens=found.tokens[:rows], agreed=found.agreed[:rows])
