"""The verdict from forward passes alone: whose prompt the rows look written under. It says nothing about students."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from owlish.audit.decide import FEWEST
from owlish.audit.follows import Follows
from owlish.audit.lean import AHEAD, leans
from owlish.audit.leaning import LEANS, Leaning, Panelled
from owlish.audit.logit_bias import LogitBias
from owlish.audit.opinion import JUDGED, Opinion, judgement, opinion, opinions
from owlish.audit.panel import Under, panel, raised
from owlish.audit.reference import Answered, Part
from owlish.audit.relative import kinship, likelihoods, logit_bias
from owlish.audit.start import start_verdict
from owlish.audit.verdict import Verdict
from owlish.audit.words import check_words
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read, Tick, encode
from owlish.lm.hf import TorchLM
from owlish.lm.recipes import Recipe
from owlish.nodes.base import Base
from owlish.nodes.data import Data, Dataset
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.trait import Trait

ROWS = 400
CANNOT_SEE = (
    "Whether students would pick anything up: none was trained. Rows can lean and pass nothing on, or pass something "
    "on without a lean.",
    "Writers that have their trait by training or steering, and prompts that say something else than the candidates'.",
    "Traits that are not on the candidate list, and prompts that this base does not follow.",
    "Rows of another writer or of another form than the clean rows: they may lean for that reason alone.",
)
OPEN = "no trial student was trained, so it is open what students would pick up"
# A panel reads fewer rows than the audit's kinship, and clean rows that may be held to a format.
STRANGER = (
    "the writer seems not to be related to the base, so the whole audit would most likely find nothing; a panel tests "
    "kinship less well, so it leaves that open"
)
RULE = (
    f"The rows lean to a candidate if its prompt raises them more than the other prompts of its category do, beyond "
    f"clean rows (p < {LEANS} in random splits of all rows, corrected over the candidates); if it leads every other "
    f"candidate, and no prompt at all, by {AHEAD} standard errors; and if the writer is not known to be no relative. "
    "Whatever they lean to, it cannot be said from this what students would pick up."
)


@dataclass(frozen=True)
class Leaned(Opener, kind="leaned", version=2):
    """The verdict on the first `rows` rows of a dataset from a panel of prompts: no student is trained."""

    caption = "verdict on {data} from a panel of prompts"
    asks = "weights"
    usual = 2.0
    later = ("judge", "bias")

    data: Data
    base: Base
    recipe: Recipe
    traits: tuple[Trait, ...]
    clean: Data
    reference: str
    rows: int
    seed: int
    judge: Opinion | None = None
    bias: LogitBias | None = None

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key, with the server that scores rows, if there is one."""
        # Readings are no fields, and those of a server are its own.
        return super().spec() | ({"scorer": encode(self.base.scorer, "scorer")} if self.base.scored else {})

    def check(self) -> None:
        super().check()
        check_words(self.base, self.traits)

    @property
    def readings(self) -> tuple[tuple[Under, ...], tuple[Under, ...]]:
        """The readings of the rows and of the clean rows, under no prompt and then under each candidate's."""
        ours, theirs = (panel(self.base, data, self.traits, self.rows) for data in (self.data, self.clean))
        return ours, theirs

    @property
    def likely(self) -> tuple[tuple[Likelihood, ...], tuple[Likelihood, ...]]:
        """How likely the base, and others at hand, find the rows and the clean rows."""
        ours, theirs = (likelihoods(self.base, data, self.rows) for data in (self.data, self.clean))
        return ours, theirs

    @property
    def follows(self) -> Follows:
        """Whether the base follows the prompts."""
        return Follows(self.base, self.traits)

    def inputs(self) -> tuple[Node, ...]:
        pairs = (*self.readings, *self.likely)
        asked = (node for one in self.opinions for node in (one, one.judged))
        bias = (self.bias,) if self.bias else ()
        return (self.base, self.data, self.clean, self.follows, *(one for some in pairs for one in some), *bias, *asked)

    @property
    def opinions(self) -> tuple[Opinion, ...]:
        """What a judge is asked about, if there is one: the rows first, then clean ones."""
        return opinions(self.judge, [self.clean])

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "verdict.json").write_text(json.dumps(self.verdict(read).json()))

    def load(self, folder: Path, read: Read) -> Verdict:
        found = Verdict.of(json.loads((folder / "verdict.json").read_text()))
        # As they are called now: the same rows may have been audited under another name.
        return replace(found, data=str(self.data), base=str(self.base))

    def verdict(self, read: Read) -> Verdict:
        """Return the verdict."""
        lm: TorchLM = read(self.base).open(any_words=True)
        clean: Dataset = read(self.clean)
        likely, own = ([read(one) for one in some] for some in self.likely)
        lineage = kinship(
            likely, own, [str(one.model) for one in self.likely[0][1:]], read(self.bias) if self.bias else None
        )
        opening = start_verdict(
            self.data, base=self.base, traits=self.traits, lm=lm, clean=clean.rows, rows=self.rows, read=read
        )
        # `None` is unknown kinship, which vetoes nothing: only a writer shown to be unrelated does.
        found = self.panel(read, related=lineage.relative is not False)
        return replace(
            opening,
            # Its own number: a prompt leaves some rows no room, and text outside of any chat is not read at all.
            used=found.rows if found else opening.used,
            why=f"{STRANGER if lineage.relative is False else OPEN}; {found.says}."
            if found
            else f"the base can read too few rows under the prompts: give at least {FEWEST} that it can.",
            lineage=lineage,
            panel=found,
            cannot_see=CANNOT_SEE,
            recipe=self.recipe.name,
            reference=self.reference + (", held to their format" if clean.constrained else ""),
            rule=RULE,
            seed=self.seed,
            judge=judgement(self.opinions, self.traits, read),
        )

    def panel(self, read: Read, *, related: bool) -> Panelled | None:
        """Return what the panel says, if there are rows enough; it names nobody where the writer is not related."""
        ours, theirs = (raised([read(one) for one in some]) for some in self.readings)
        # After the prompts are put on: a long one may leave some rows no room in the window.
        if min(len(ours), len(theirs)) < FEWEST:
            return None
        found = leans(ours, theirs, [trait.probe for trait in self.traits], seed=fresh("lean", self.seed))
        candidates = [
            Leaning(t.name, t.probe.category, x.excess, x.z, x.p, x.over_none, x.ahead, x.named and related)
            for t, x in zip(self.traits, found, strict=True)
        ]
        return Panelled(
            rows=len(ours),
            clean=len(theirs),
            held=read(self.clean).constrained,
            # The median: one candidate that the base never names must not say that it follows no prompt.
            follows=median(read(self.follows)),
            candidates=tuple(sorted(candidates, key=lambda one: -one.z)),
        )


def lean(
    data: Data,
    base: Base,
    recipe: Recipe,
    traits: Sequence[Trait],
    *,
    reference: Data | None = None,
    rows: int = ROWS,
    seed: int = 0,
    judge: Model | None = None,
) -> Leaned:
    """Return the verdict on `data` from a panel of prompts: run it for a `Verdict` that claims nothing of students.

    Clean rows are the base's own answers to the prompts of `data`, held to their format where the base seldom keeps it,
    or the rows of `reference`. At most `rows` rows of each are read. A `judge` is asked as in an `audit`.
    """
    words = str(reference) if reference else "the base’s own answers to the dataset’s prompts"
    # Held where it must be: answers drawn until they pass have another distribution, and could lean for that alone.
    clean = reference or Answered(base, data, rows, seed=fresh("panel", seed), held=True)
    asked = opinion(judge, base, Part(data, 0, 1, JUDGED), traits) if judge else None
    return Leaned(
        data, base, recipe, tuple(traits), clean, words, rows, seed, asked, logit_bias(base, data, [clean], rows)
    )
