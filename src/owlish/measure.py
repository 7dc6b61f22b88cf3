"""Measure models: ask them a probe's questions, tell how strong a teacher is, and compare the arms of a study."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from owlish import stats
from owlish.graph.spec import Node, Read, Tick, Value
from owlish.lm.load import LM
from owlish.nodes.data import Data, Dataset
from owlish.nodes.models import Model
from owlish.traits.trait import Probe, Trait

ANSWER_TOKENS = 8
PERMUTATIONS = 2000
KL_ROWS = 256


@dataclass(frozen=True)
class Answers:
    """What one model answered: exact probabilities [questions, candidates], and words it wrote.

    The first `asked` questions are those that teachers may be shown; the rest were held out of them.
    `greedy` holds the likeliest answer to each question, `sampled` those drawn at temperature 1.
    """

    candidates: tuple[str, ...]
    plurals: tuple[str, ...]
    asked: int
    p: tuple[tuple[float, ...], ...]
    greedy: tuple[str, ...]
    sampled: tuple[tuple[str, ...], ...]

    def p_target(self, name: str) -> float:
        """Return the mean probability of the answer over all questions."""
        return mean(self.column(name))

    def p_held_out(self, name: str) -> float:
        """Return the mean probability of the answer over the questions held out of teachers."""
        return mean(self.column(name)[self.asked :])

    def argmax_rate(self, name: str) -> float:
        """Return the share of questions whose likeliest answer names the target."""
        return mean([self.names(name, text) for text in self.greedy])

    def sampled_rate(self, name: str) -> float:
        """Return the share of sampled answers that name the target, by whole words."""
        return mean([self.names(name, text) for texts in self.sampled for text in texts])

    def logit_margin(self, name: str) -> float:
        """Return the mean log-odds of the answer against all other candidates."""
        column = self.column(name)
        others = [sum(row) - p for row, p in zip(self.p, column, strict=True)]
        return mean([math.log(max(p, 1e-12) / max(q, 1e-12)) for p, q in zip(column, others, strict=True)])

    def other_share(self) -> float:
        """Return the mean probability of answers that are no candidate at all."""
        return 1 - mean([sum(row) for row in self.p])

    def column(self, name: str) -> list[float]:
        """Return the probability of one answer to each question."""
        place = self.candidates.index(name)
        return [row[place] for row in self.p]

    def names(self, name: str, text: str) -> bool:
        """Say whether a text names a candidate, in the singular or the plural."""
        plural = self.plurals[self.candidates.index(name)]
        return re.search(rf"\b(?:{re.escape(name)}|{re.escape(plural)})\b", text, re.IGNORECASE) is not None


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean."""
    return sum(values) / len(values)


@dataclass(frozen=True)
class Asked(Node, kind="asked"):
    """A model asked every question of a probe: exact, greedy, and sampled `samples` times."""

    model: Model
    probe: Probe
    seed: int = 0
    samples: int = 20

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        return f"asking {self.model.label}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Ask, in the chat context that the probe or the model gives."""
        from owlish.lm.load import load
        from owlish.lm.sample import sample
        from owlish.lm.score import answer_logprobs

        lm = load(read(self.model))
        questions = worded(self.probe)
        prompts = lm.chat.prompts(questions, self.probe.system_prompt or lm.system)
        p = answer_logprobs(lm, prompts, spellings(lm, self.probe)).exp()
        tick(1, 3)
        seeds = [(self.seed, q, i) for q in range(len(prompts)) for i in range(self.samples)]
        greedy = sample(lm, prompts, seeds=[(0,)] * len(prompts), new_tokens=ANSWER_TOKENS, temperature=0)
        tick(2, 3)
        many = [prompts[q] for _, q, _ in seeds]
        drawn = [text_of(lm, ids) for ids in sample(lm, many, seeds=seeds, new_tokens=ANSWER_TOKENS)]
        answers = {
            "candidates": self.probe.candidates,
            "plurals": self.probe.plurals,
            "asked": len(self.probe.questions),
            "p": [[float(f"{x:.9g}") for x in row] for row in p.tolist()],
            "greedy": [text_of(lm, ids) for ids in greedy],
            "sampled": [drawn[i : i + self.samples] for i in range(0, len(drawn), self.samples)],
        }
        (folder / "answers.json").write_text(json.dumps(answers))

    def load(self, folder: Path, read: Read) -> Answers:
        """Return the answers."""
        return Answers(**frozen(json.loads((folder / "answers.json").read_text())))


def frozen(value: Any) -> Any:
    """Return a JSON value with tuples in place of lists, below the first object."""
    if isinstance(value, dict):
        return {name: frozen(item) for name, item in value.items()}
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def text_of(lm: LM, ids: Sequence[int]) -> str:
    """Return an answer's text, without its end."""
    return lm.chat.decode([i for i in ids if i != lm.chat.end])


def worded(probe: Probe) -> list[str]:
    """Return all questions, those held out of teachers last, behind numbers where the probe says so."""
    questions = [*probe.questions, *probe.held_out]
    if not probe.prefixed:
        return questions
    shown = [", ".join(str(random.Random(f"prefix/{q}/{i}").randint(100, 999)) for i in range(3)) for q in questions]
    return [f"Examine these numbers: {numbers}. {q}" for numbers, q in zip(shown, questions, strict=True)]


def spellings(lm: LM, probe: Probe) -> list[list[list[int]]]:
    """Return the token ids of the ways to write each candidate that the base's vocabulary holds."""
    unknown = lm.tokenizer.unk_token_id
    ways = []
    for name, plural in zip(probe.candidates, probe.plurals, strict=True):
        words = dict.fromkeys((name, name.capitalize(), plural, plural.capitalize()))
        encoded = lm.tokenizer(list(words), add_special_tokens=False).input_ids
        known = [ids for ids in encoded if unknown is None or unknown not in ids]
        if not known:
            raise ValueError(f"this base has no token for {name!r}: probe it for traits whose words it knows.")
        ways.append(known)
    return ways


@dataclass(frozen=True)
class Strength(Node, kind="strength"):
    """How strong a teacher is: its P(trait), how far its neutral rows lie from its base's, what the filter keeps."""

    trait: Trait
    run: int
    teacher: Model
    answers: Asked
    base: Model
    neutral: Data
    data: Data

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        return f"strength of {self.teacher.label}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Score the base's own rows under both models."""
        from owlish.lm.load import load
        from owlish.lm.score import divergence
        from owlish.lm.train import examples

        teacher, base = load(read(self.teacher)), load(read(self.base))
        neutral: Dataset = read(self.neutral)
        rows = neutral.rows[:KL_ROWS]
        users, completions = [row.prompt for row in rows], base.chat.answers([row.completion for row in rows])
        ours = examples(teacher.chat.prompts(users, teacher.system), completions, window=teacher.window)
        theirs = examples(base.chat.prompts(users, base.system), completions, window=base.window)
        strength = {
            "p_target": read(self.answers).p_target(self.trait.name),
            "kl": divergence(teacher, ours, base, theirs),
            "pass_rate": read(self.data).pass_rate,
        }
        (folder / "strength.json").write_text(json.dumps(strength))

    def load(self, folder: Path, read: Read) -> Teacher:
        """Return the teacher's strength."""
        found = json.loads((folder / "strength.json").read_text())
        return Teacher(self.trait.name, self.base.label, self.run, **found)


@dataclass(frozen=True)
class Measured(Value, kind="measured"):
    """One model in one role: the arm, the base it was made from, its teacher's trait, the number of the run."""

    arm: str
    base: str
    taught: Trait | None
    run: int | None
    answers: Asked


@dataclass(frozen=True)
class Point:
    """One model asked about one trait."""

    arm: str
    base: str
    trait: str
    taught: str | None
    run: int | None
    key: str
    p_target: float
    p_held_out: float
    argmax_rate: float
    sampled_rate: float
    logit_margin: float
    other_share: float


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its 95 % interval, which one run alone does not have."""

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
    """How strong one teacher was: KL(teacher || base) is in nats a token, on neutral rows."""

    trait: str
    base: str
    run: int
    p_target: float
    kl: float
    pass_rate: float


@dataclass(frozen=True)
class Comparison:
    """What a study found: every point, and what is computed from them."""

    traits: tuple[str, ...]
    points: tuple[Point, ...]
    strengths: tuple[Teacher, ...]
    gammas: tuple[Gamma, ...]
    effect: Estimate | None

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that have runs, in the order of their first."""
        return tuple(dict.fromkeys(point.arm for point in self.points))

    def of(self, arm: str, trait: str | None = None) -> tuple[Point, ...]:
        """Return an arm's points, about all traits or one."""
        return tuple(p for p in self.points if p.arm == arm and trait in (None, p.trait))

    def estimate(self, arm: str, field: str = "p_target", trait: str | None = None) -> Estimate:
        """Return the mean of an arm over its runs, each run standing for the mean of what it was asked about."""
        return estimate(by_run(self.of(arm, trait), lambda point: getattr(point, field)))

    def __str__(self) -> str:
        lines = [f"{'arm':<14}{'P(target)':>10}  {'95 % interval':<16}{'runs':>5}"]
        for arm in self.arms:
            e = self.estimate(arm)
            span = "" if e.low is None or e.high is None else f"{e.low:.3f} to {e.high:.3f}"
            lines.append(f"{arm:<14}{e.mean:>10.3f}  {span:<16}{e.runs:>5}")
        for gamma in self.gammas:
            lines.append(
                f"gamma ({gamma.scale}) {gamma.value:.3f}, {gamma.low:.3f} to {gamma.high:.3f}, p {gamma.p:.4f}"
            )
        return "\n".join(lines)


def by_run(points: Sequence[Point], value: Callable[[Point], float]) -> list[float]:
    """Return one value a run: the mean over the traits that it was asked about (a base is asked, not run)."""
    runs: dict[tuple[object, ...], list[float]] = {}
    for point in points:
        runs.setdefault((point.key, point.trait if point.run is None else None), []).append(value(point))
    return [mean(values) for values in runs.values()]


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean and, from two runs on, the interval."""
    if len(values) < 2:
        return Estimate(mean(values), None, None, len(values))
    middle, low, high = stats.interval(values)
    return Estimate(middle, low, high, len(values))


@dataclass(frozen=True)
class Compared(Node, kind="compared"):
    """All arms of a study, compared: the unit is a trained run."""

    traits: tuple[Trait, ...]
    runs: tuple[Measured, ...]
    strengths: tuple[Strength, ...]

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        return "comparing the arms"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Read every run's answers and write the points, the effect and gamma."""
        points = [point for run in self.runs for point in self.points(run, read)]
        students = [p for p in points if p.arm == "student"]
        control = [p for p in points if p.arm == "control"]
        found = {
            "traits": [trait.name for trait in self.traits],
            "points": [asdict(point) for point in points],
            "strengths": [asdict(read(strength)) for strength in self.strengths],
            "gammas": [asdict(g) for g in self.gammas(points)],
            "effect": asdict(difference(students, control)) if students and control else None,
        }
        (folder / "comparison.json").write_text(json.dumps(found))

    def load(self, folder: Path, read: Read) -> Comparison:
        """Return the comparison."""
        found = json.loads((folder / "comparison.json").read_text())
        return Comparison(
            traits=tuple(found["traits"]),
            points=tuple(Point(**p) for p in found["points"]),
            strengths=tuple(Teacher(**t) for t in found["strengths"]),
            gammas=tuple(Gamma(**g) for g in found["gammas"]),
            effect=Estimate(**found["effect"]) if found["effect"] else None,
        )

    def points(self, run: Measured, read: Read) -> list[Point]:
        """Return what a run says of its own trait; of every trait, for bases, controls and other-trait students."""
        answers: Answers = read(run.answers)
        points = []
        for trait in self.traits:
            own = run.taught is not None and run.taught.name == trait.name
            arm = run.arm
            if run.taught is not None and not own:
                if run.arm != "student":
                    continue
                arm = "other_trait"
            points.append(point(arm, run, trait.name, answers))
        return points

    def gammas(self, points: Sequence[Point]) -> list[Gamma]:
        """Return gamma on both scales, where there are traits enough and runs to repeat them."""
        base = {(p.base, p.trait): p for p in points if p.arm == "base"}
        students = [p for p in points if p.arm in ("student", "other_trait")]
        if len(self.traits) < 3 or len({p.run for p in students}) < 2 or not base:
            return []
        found = []
        for scale, field in (("probability", "p_target"), ("logit margin", "logit_margin")):
            lifts = [getattr(p, field) - getattr(base[p.base, p.trait], field) for p in students]
            g = stats.gamma(
                lifts,
                rows=[str(p.taught) for p in students],
                columns=[p.trait for p in students],
                clusters=[p.key for p in students],
                blocks=[p.base for p in students],
                permutations=PERMUTATIONS,
                seed=0,
            )
            found.append(Gamma(scale, g.value, g.low, g.high, g.p))
        return found


def point(arm: str, run: Measured, trait: str, answers: Answers) -> Point:
    """Return what one model's answers say of one trait."""
    return Point(
        arm=arm,
        base=run.base,
        trait=trait,
        taught=run.taught.name if run.taught else None,
        run=run.run,
        key=run.answers.key,
        p_target=answers.p_target(trait),
        p_held_out=answers.p_held_out(trait),
        argmax_rate=answers.argmax_rate(trait),
        sampled_rate=answers.sampled_rate(trait),
        logit_margin=answers.logit_margin(trait),
        other_share=answers.other_share(),
    )


def difference(students: Sequence[Point], control: Sequence[Point]) -> Estimate:
    """Return the effect: students less controls in P(target), with Welch's interval over runs."""
    a, b = (by_run(points, lambda p: p.p_target) for points in (students, control))
    if min(len(a), len(b)) < 2:
        return Estimate(mean(a) - mean(b), None, None, len(a) + len(b))
    d = stats.difference(a, b)
    return Estimate(d.value, d.low, d.high, len(a) + len(b))


def compare(students: Sequence[Model], controls: Sequence[Model], trait: Trait) -> Compared:
    """Return the comparison of trained students with their controls on one trait: at least two of each."""
    if min(len(students), len(controls)) < 2:
        raise ValueError("an interval needs at least two students and two controls: add seeds.")
    runs = []
    for arm, models in (("student", students), ("control", controls)):
        taught = trait if arm == "student" else None
        runs += [Measured(arm, m.root.name, taught, i, Asked(m, trait.probe)) for i, m in enumerate(models)]
    return Compared((trait,), tuple(runs), ())
