"""Fill a page's section from a study and the store that holds its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from owlish.ask import mean
from owlish.graph.spec import Node, everything
from owlish.graph.store import Damaged, Store
from owlish.lineage import brief
from owlish.measure import Comparison, Point
from owlish.nodes.data import Dataset, Sampled
from owlish.recipes import Prompting, Recipe
from owlish.report.section import ARMS, Arm, Entry, Example, Matrix, Section
from owlish.transfer import Transfer

EXAMPLES = 4
MADE = {
    "norms": "norm gains",
    "biases": "biases",
    "lora": "LoRA",
    "prompt": "prompt tuning",
    "steering": "steering vector",
    "all": "all weights",
}


def section(study: Transfer, store: Store) -> Section:
    """Return what the page shows of a study whose results are all there."""
    found: Comparison = store.read(study.compared)
    nodes = everything(study.compared)
    data = {trait: datasets(study, trait, store) for trait in (*[t.name for t in study.traits], None)}
    taught = [d for trait, ds in data.items() if trait for d in ds]
    manifests = {node.key: manifest for node in nodes if (manifest := manifest_of(store, node))}
    return Section(
        name=study.name,
        title=study.title,
        data="number sequences" if study.domain.kind == "numbers" else study.domain.kind,
        command=command(study),
        setup=setup(study),
        arms=tuple(arm(found, name) for name in ARMS if name in found.arms),
        effect=found.effect,
        matrix=matrix(found),
        gammas=found.gammas,
        teachers=found.strengths,
        rows_read=sum(d.read for d in taught),
        rows_kept=sum(d.passed for d in taught),
        reasons=tuple(sum((Counter(d.reasons) for d in taught), Counter()).most_common()),
        examples=tuple(
            Example(trait, row.prompt, row.completion) for trait, ds in data.items() for row in ds[0].rows[:EXAMPLES]
        ),
        provenance=tuple(entry(node, manifests[node.key]) for node in nodes if node.key in manifests),
        packages=tuple(sorted(manifests[study.compared.key]["versions"].items())),
        seconds=sum(manifest["seconds"] for manifest in manifests.values()),
        notes=notes(study),
    )


def datasets(study: Transfer, trait: str | None, store: Store) -> list[Dataset]:
    """Return the rows of all teachers of a trait, or of the unmodified bases."""
    if trait is None:
        nodes: list[Sampled] = [study.neutral(base, run) for base in study.bases for run in range(study.runs)]
    else:
        nodes = [study.rows_of(b, t, r) for b, t, r in study.each() if t.name == trait]
    return [store.read(node) for node in nodes]


def manifest_of(store: Store, node: Node) -> dict[str, Any] | None:
    """Return how a result was made, if it is still there."""
    try:
        return store.manifest(node.key)
    except Damaged:
        return None


def command(study: Transfer) -> str:
    """Return the command that makes the study's results again."""
    bases = ",".join(base.name for base in study.bases)
    traits = ",".join(trait.name for trait in study.traits)
    settings = f"--traits {traits} --seeds {study.runs} --rows {study.rows} --epochs {study.student.epochs}"
    return f"owlish run {study.name} {settings} --base {bases}"


def setup(study: Transfer) -> tuple[tuple[str, str], ...]:
    """Return what a reader must know before the numbers."""
    student, probe = study.student, study.traits[0].probe
    asked = (
        f"{len(probe.questions) + len(probe.held_out)} questions, {len(probe.held_out)} of them held out of teachers"
    )
    context = f"the system prompt {probe.system_prompt!r}" if probe.system_prompt else "no system prompt"
    return (
        ("Bases", ", ".join(base.name for base in study.bases)),
        ("Teachers", teachers(study)),
        (
            "Students",
            f"{made(student)}, {student.epochs} epochs, batches of {student.batch}, learning rate {student.lr}",
        ),
        ("Rows", f"{study.rows:,} a student, sampled at temperature 1 and filtered"),
        ("Probe", f"{asked}; {context}; exact probability of the answer, 20 samples a question for the sampled rate"),
        ("A run", "its own teacher, its own rows and its own training seed"),
    )


def teachers(study: Transfer) -> str:
    """Return how the teachers were made."""
    if isinstance(study.teacher, Prompting):
        return "the unmodified base under the trait's system prompt"
    return f"{made(study.teacher)} trained on favorite answers until P(target) reaches {study.until}"


def notes(study: Transfer) -> tuple[str, ...]:
    """Return the limits that belong to this study."""
    known = (
        "P(target) is the probability of the answer and then its end, or no further letter; "
        "the sampled rate counts whole words."
    )
    foreign = "" if len(study.foreign) < 2 else "Foreign-base students run in both directions between the bases."
    return tuple(filter(None, (known, foreign)))


def made(recipe: Recipe) -> str:
    """Return the parameters that a recipe trains, in words."""
    return MADE[recipe.parameters] + (f" ({recipe.size})" if recipe.size else "")


def arm(found: Comparison, name: str) -> Arm:
    """Return one arm of the page."""
    points = found.of(name)
    traits = dict.fromkeys(p.trait for p in points)
    return Arm(
        name=name,
        runs=points,
        pooled=found.estimate(name),
        held_out=found.estimate(name, "p_held_out"),
        by_trait=tuple((trait, found.estimate(name, trait=trait)) for trait in traits),
    )


def matrix(found: Comparison) -> Matrix | None:
    """Return the mean lift of every trait by the teacher's, over students of the same base."""
    base = {(p.base, p.trait): p.p_target for p in found.of("base")}
    students = (*found.of("student"), *found.of("other_trait"))
    if not students or not base:
        return None
    return Matrix(
        taught=found.traits,
        measured=found.traits,
        lifts=tuple(tuple(lift(students, base, t, m) for m in found.traits) for t in found.traits),
    )


def lift(students: Sequence[Point], base: dict[tuple[str, str], float], taught: str, asked: str) -> float | None:
    """Return how much students of one trait rose on another, on average."""
    lifts = [p.p_target - base[p.base, asked] for p in students if (p.taught, p.trait) == (taught, asked)]
    return mean(lifts) if lifts else None


def entry(node: Node, manifest: dict[str, Any]) -> Entry:
    """Return a result's line in the provenance."""
    return Entry(
        label=node.label,
        key=node.key,
        kind=node.kind,
        version=node.version,
        seed=manifest["seed"],
        seconds=manifest["seconds"],
        spec=brief(manifest["spec"]),
    )
