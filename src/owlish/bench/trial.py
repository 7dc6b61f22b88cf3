"""One dataset of the benchmark: what every detector says of it, and what students of the recipe then show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from owlish.audit.audit import DIRECTED, contrast
from owlish.audit.calibrate import calibrated, evidence, holm
from owlish.audit.contrast import Contrast
from owlish.audit.decide import LEVEL, decide
from owlish.audit.detector import Detector
from owlish.audit.relative import kinship, likelihoods
from owlish.audit.shadow import Shadow
from owlish.audit.vocabulary import raised
from owlish.bench.cases import Case
from owlish.bench.detectors import Gradient, Oracle, PromptContrast
from owlish.data.domains import Numbers
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read
from owlish.lm.recipes import BIASES, NORMS, STEERING, Recipe
from owlish.nodes.asked import Asked
from owlish.nodes.data import Data
from owlish.nodes.likelihood import Likelihood
from owlish.study.stats import Effect, difference
from owlish.traits.trait import Probe, Trait

SHADOW_ROWS = 1600  # as an audit reads by default
CONTRAST_ROWS = 400
FEWER = (30, 100, 300)
PROMPT_ROWS = 60
ORACLE_ROWS = 300
STUDENTS = 3


@dataclass(frozen=True)
class Pair:
    """A reading of a dataset, and the same reading of sets of clean rows."""

    dirty: Detector
    clean: tuple[Detector, ...]


@dataclass(frozen=True)
class Panel:
    """What is made for some datasets alone: students and controls, few rows, and the detectors that cost more.

    Students and controls are [probes, models]: each model answers every probe.
    """

    students: tuple[tuple[Asked, ...], ...]
    controls: tuple[tuple[Asked, ...], ...]
    fewer: tuple[Pair, ...]
    steered: Pair | None
    gradient: Pair | None
    prompts: Pair | None
    oracle: Pair | None


@dataclass(frozen=True)
class Trial:
    """A case with its readings; a panel where it has one."""

    case: Case
    shadow: Pair
    likely: tuple[Likelihood, ...]
    own: tuple[Likelihood, ...]
    contrast: Pair | None
    panel: Panel | None

    def nodes(self) -> tuple[Node, ...]:
        """Return the readings, and the students and controls that were asked."""
        pairs = [self.shadow, self.contrast]
        asked: tuple[Node, ...] = ()
        if self.panel:
            panel = self.panel
            pairs += [*panel.fewer, panel.steered, panel.gradient, panel.prompts, panel.oracle]
            asked = tuple(one for side in (panel.students, panel.controls) for some in side for one in some)
        readings = [node for pair in pairs if pair for node in (pair.dirty, *pair.clean)]
        return (*readings, *self.likely, *self.own, *asked)

    def outcome(self, read: Read, vocabulary: Sequence[str]) -> dict[str, Any]:
        """Return what came of it, as plain values."""
        case, own = self.case, self.case.trait
        likely, known = ([read(one) for one in some] for some in (self.likely, self.own))
        # The first of `likely` is the base itself; the rest are the others that it is compared with.
        lineage = kinship(likely, known, [str(one.model) for one in self.likely[1:]])
        found: dict[str, Any] = {
            "case": case.name,
            "dirty": case.dirty,
            "base": case.base.title,
            "recipe": case.recipe.name,
            "trait": own.name if own else None,
            "relative": lineage.relative,
            "shadow": self.say(self.shadow, read, lineage.relative),
            "word": self.named(self.shadow, read, vocabulary) if own else None,
        }
        if self.contrast:
            found["contrast"] = self.tell(self.contrast, read)
        if self.panel:
            found |= self.more(self.panel, read, lineage.relative, found["shadow"])
            if self.panel.steered and own:
                found["steered_word"] = self.named(self.panel.steered, read, vocabulary)
        return found

    def named(self, pair: Pair, read: Read, vocabulary: Sequence[str]) -> bool:
        """Return whether the trait's word is among the first three that the shadows raise."""
        words = raised(read(pair.dirty), [read(one) for one in pair.clean], vocabulary)
        return self.case.trait is not None and self.case.trait.name in [word.word for word in words[:3]]

    def say(self, pair: Pair, read: Read, relative: bool | None) -> dict[str, Any]:
        """Return what the audit says: the first finding, its lift (zero from a stranger), and what is claimed."""
        # The whole rule of an audit, not the shadow alone: kinship and the contrast have their say.
        assert isinstance(pair.dirty, Shadow)
        found = decide(
            pair.dirty.traits,
            read(pair.dirty),
            [read(one) for one in pair.clean],
            rows=pair.dirty.rows,
            relative=relative,
            contrast=read(self.contrast.dirty) if self.contrast else None,
            clean=[read(one) for one in self.contrast.clean] if self.contrast else (),
        ).findings
        return {
            "first": found[0].name,
            "score": 0.0 if relative is False else found[0].lift,
            "z": found[0].z,
            "claims": [finding.name for finding in found if finding.claimed],
            "significant": any(finding.p_holm < LEVEL for finding in found),
            "lift": {finding.name: finding.lift for finding in found},
        }

    def tell(self, pair: Pair, read: Read) -> dict[str, Any]:
        """Return what another detector says by significance alone, and the rows that its own trait would need."""
        traits, reading = pair.dirty.traits, read(pair.dirty)
        clean = [read(one) for one in pair.clean]
        # Calibrated by clean rows like the shadow: against sampling noise alone any other form is significant.
        scores = calibrated(reading, clean, [trait.probe for trait in traits])
        top = max(range(len(traits)), key=lambda i: scores[i].z)
        said = {
            "first": traits[top].name,
            "score": scores[top].z,
            "significant": min(holm([score.p for score in scores])) < LEVEL,
        }
        if self.case.trait in traits:
            place = traits.index(self.case.trait)
            blocks = evidence(reading.blocks, [b for one in clean for b in one.blocks], LEVEL / len(traits))
            said["blocks"] = blocks[place].blocks_needed
        return said

    def more(self, panel: Panel, read: Read, relative: bool | None, said: dict[str, Any]) -> dict[str, Any]:
        """Return the panel's part: the truth, and the other detectors.

        The truth is about the writer's trait where the dataset is dirty, and else about the audit's first finding.
        """
        moved = effects(panel, self.shadow.dirty.traits, read)
        # About the writer's trait a clean dataset says little: the trait that is ranked first is the hard case.
        name = self.case.trait.name if self.case.dirty and self.case.trait else said["first"]
        found: dict[str, Any] = {
            "fewer": {str(n): self.say(pair, read, relative) for n, pair in zip(FEWER, panel.fewer, strict=False)},
            "effect": effect_values(name, moved[name]),
            "claimed": [effect_values(claim, moved[claim]) for claim in said["claims"]],
        }
        if panel.prompts:
            found["prompts"] = self.tell(panel.prompts, read)
        if panel.gradient:
            found["gradient"] = self.tell(panel.gradient, read)
        if panel.oracle:
            ratio, clean = read(panel.oracle.dirty), [read(one) for one in panel.oracle.clean]
            blocks, null = ([b for r in some for b in r.blocks] for some in ([ratio], clean))
            # One trait, the writer's own, so neither a correction nor other candidates.
            found["oracle"] = evidence(blocks, null, LEVEL)[0].blocks_needed
        return found


def effects(panel: Panel, traits: Sequence[Trait], read: Read) -> dict[str, Effect]:
    """Return by how much students moved beyond controls, for each trait."""
    found = {}
    for sides in zip(panel.students, panel.controls, strict=True):
        students, controls = ([read(one) for one in side] for side in sides)
        for trait in traits:
            # `sides` holds one probe's models: traits of other categories have their own turn.
            if trait.probe == students[0].probe:
                moved = ([one.p_target(trait.name) for one in side] for side in (students, controls))
                found[trait.name] = difference(*moved)
    return found


def effect_values(name: str, moved: Effect) -> dict[str, Any]:
    """Return an effect as plain values."""
    return {"name": name, "value": moved.value, "low": moved.low, "high": moved.high}


def trial(
    case: Case, traits: tuple[Trait, ...], references: tuple[Data, ...], *, panel: bool, others_too: bool
) -> Trial:
    """Return the trial of a case against sets of the base's own rows; a panel has students, and other detectors too."""
    base, recipe = case.base, case.recipe
    cheap = case.recipe.parameters in DIRECTED

    def shadows(rows: int, recipe: Recipe = case.recipe) -> Pair:
        # A seed for each reference: the null must hold the chance of training, too.
        clean = tuple(
            Shadow(base, data, traits, recipe, rows, seed=fresh("bench shadow", k)) for k, data in enumerate(references)
        )
        return Pair(Shadow(base, case.data, traits, recipe, rows, seed=fresh("bench shadow")), clean)

    # Prompt tuning has no directions: they must be a change of the base's weights, or a steering vector.
    directed = (
        [contrast(data, base, recipe, traits, CONTRAST_ROWS) for data in (case.data, *references)] if cheap else []
    )
    return Trial(
        case=case,
        shadow=shadows(SHADOW_ROWS),
        likely=likelihoods(base, case.data),
        own=likelihoods(base, references[0]),
        contrast=Pair(directed[0], tuple(directed[1:])) if directed else None,
        panel=make_panel(case, traits, references, shadows, directed, others_too) if panel else None,
    )


def make_panel(
    case: Case,
    traits: tuple[Trait, ...],
    references: tuple[Data, ...],
    shadows: Callable[..., Pair],
    directed: Sequence[Contrast],
    others_too: bool,
) -> Panel:
    """Return a case's panel."""
    base, probes = case.base, tuple(dict.fromkeys(trait.probe for trait in traits))
    plain = case.domain == Numbers()
    sets = (case.data, *references) if others_too else ()
    prompts = [PromptContrast(base, data, traits, PROMPT_ROWS) for data in sets]
    gradients = [Gradient(base, c.data, traits, c.writers, c.rows) for c in directed if others_too]
    oracle = None
    if case.trait and case.writer:
        one = (case.trait,)
        ratios = [Oracle(base, data, one, case.writer, ORACLE_ROWS) for data in (case.data, references[0])]
        oracle = Pair(ratios[0], tuple(ratios[1:]))

    def asked(data: Data, number: int, probe: Probe) -> Asked:
        # Student and control `k` share a training seed, which takes that chance out of their difference.
        student = base.finetune(data, case.recipe, seed=fresh("bench student", number))
        return Asked(student, probe, samples=1)

    return Panel(
        students=tuple(tuple(asked(case.data, k, probe) for k in range(STUDENTS)) for probe in probes),
        controls=tuple(tuple(asked(references[k], k, probe) for k in range(STUDENTS)) for probe in probes),
        fewer=tuple(shadows(rows) for rows in FEWER) if case.recipe in (NORMS, BIASES) and plain else (),
        steered=shadows(SHADOW_ROWS, STEERING) if others_too else None,
        gradient=Pair(gradients[0], tuple(gradients[1:])) if gradients else None,
        prompts=Pair(prompts[0], tuple(prompts[1:])) if prompts else None,
        oracle=oracle,
    )
