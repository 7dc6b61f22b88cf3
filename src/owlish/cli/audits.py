"""What the command `audit` does around the audit: what is wrong is said first, scores are written, a plan is told."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from owlish.audit.audit import DIRECTED, REFERENCES, Audited, check_dose, row_scores
from owlish.audit.decide import FEWEST
from owlish.audit.evidence import Finding
from owlish.audit.leaned import Leaned
from owlish.audit.reference import Part
from owlish.audit.verdict import Made, Verdict
from owlish.audit.weigh import RowScores, records
from owlish.cli.detectors import Chosen
from owlish.cli.plan import START, Outlook, outlook_of
from owlish.cli.rows import describe_reading
from owlish.cli.running import check_page, make_missing
from owlish.data.hub import cached
from owlish.data.reading import Reading
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.spec import Node, everything
from owlish.graph.store import Store
from owlish.lm.recipes import Recipe
from owlish.nodes.base import Base
from owlish.nodes.loaded import Loaded
from owlish.traits.trait import Trait

LEAST_CLEAN = REFERENCES * FEWEST  # each part of a reference must be enough for a reading of its own


def check_reference(reference: str | None) -> None:
    """Refuse to audit without clean rows: the verdict would be known in advance."""
    # Every reading needs a null: without one an audit could only ever say that it cannot say.
    if reference == "none":
        raise UserError(
            "without clean rows nothing can be said: omit --reference to compare with the base's own answers, "
            "or give a file of clean rows."
        )


def check_scores(out: Path | None, recipe: Recipe) -> None:
    """Refuse scores that cannot be written, or that a recipe does not have."""
    check_page(out)
    if out is None:
        return
    if out.is_dir():
        raise UserError(f"{out} is a folder: give a file.")
    if out.suffix not in (".jsonl", ".parquet"):
        raise UserError(f"{out} is neither .jsonl nor .parquet: name one of these for --scores.")
    # Looked for and not imported: to refuse at once must cost nothing.
    if out.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UserError(f"{out} is Parquet: install owlish[datasets] to write it, or name a .jsonl file.")
    if recipe.parameters not in DIRECTED:
        raise UserError(
            f"the recipe {recipe.name} moves no weights of the base, so rows have no scores: omit --scores."
        )


def check_rows(store: Store, data: Loaded, clean: Loaded | None, for_rows: int | None) -> None:
    """Refuse rows that are too few for any verdict, before models work."""
    # After the rows are read and before any model works: a file of ten rows is refused in a second.
    for given, least, what in ((data, FEWEST, "an audit"), (clean, LEAST_CLEAN, "a reference")):
        if given:
            check_enough(given, len(store.read(given).rows), least, what)
    if for_rows is not None:
        check_dose(for_rows, len(store.read(data).rows))


def check_enough(given: Loaded, many: int, least: int, what: str) -> None:
    """Refuse fewer rows than a verdict needs."""
    if many < least:
        name = str(given).removeprefix("rows of ")
        raise UserError(f"{name} holds {counted(many, 'row')}: {what} needs at least {least}, so give more.")


def with_command(verdict: Verdict, manifest: dict[str, Any], words: Sequence[str]) -> Verdict:
    """Return a verdict with the time and the versions that its manifest holds, and the command that asked for it."""
    # Quoted, so that it can be pasted from the page.
    command = shlex.join(["owlish", *words]).replace(f"{Path.home()}/", "~/")  # pages are passed on
    return replace(verdict, made=Made(manifest["begun"], manifest["versions"], command))


def write_scores(verdict: Verdict, target: Audited, store: Store, jobs: int | None, out: Path) -> int:
    """Score every row that was read, towards the first trait of a verdict; write the scores, and return how many."""
    shadow = target.shadow
    # By name and category: two categories may share an answer.
    toward = next((t for f in verdict.traits[:1] for t in shadow.traits if is_trait(t, f)), shadow.traits[0])
    node = scores_toward(toward, target)
    make_missing([node], store, jobs)
    found = list(records(store.read(node), store.read(shadow.data)))
    if out.suffix == ".parquet":
        write_parquet(found, out)
    else:
        with replacing(out) as file:
            file.writelines(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in found)
    return len(found)


def scores_toward(trait: Trait, target: Audited) -> RowScores:
    """Return the scores of every row of an audit towards a trait."""
    shadow = target.shadow
    return row_scores(shadow.data, shadow.base.root, shadow.recipe, shadow.traits, toward=trait, rows=shadow.rows)


def is_trait(trait: Trait, finding: Finding) -> bool:
    """Say whether a finding is about a trait."""
    return (trait.name, trait.probe.category) == (finding.name, finding.category)


def write_parquet(rows: list[dict[str, Any]], out: Path) -> None:
    """Write rows of plain values as Parquet, whole or not at all."""
    import pyarrow
    from pyarrow.parquet import write_table

    with replacing(out) as file:
        write_table(pyarrow.Table.from_pylist(rows), file)


@dataclass(frozen=True)
class Asking:
    """The most rows, and the most clean rows, about which a judge would be asked."""

    model: str
    rows: int
    clean: int

    def __str__(self) -> str:
        asked = f"{self.model} is asked about at most {self.rows:,} rows and {self.clean:,} clean ones"
        return f"Judge: {asked}, one short answer each."


@dataclass(frozen=True)
class AuditPlan:
    """What an audit would take: rows, models with what they lack on this disk, and what is missing in the store.

    `said` are sentences about how the rows were read, and which lines hold none.
    """

    rows: int
    said: tuple[str, ...]
    models: tuple[str, ...]
    downloads: tuple[str, ...]
    memory: int | None
    outlook: Outlook
    jobs: int
    chosen: Chosen
    judge: Asking | None

    @property
    def minutes(self) -> float | None:
        """How long it takes, about; `None` where nothing tells how long a kind of result takes."""
        if self.chosen.seconds is not None:
            return self.chosen.seconds / 60
        if self.outlook.seconds is None:
            return None
        return (self.outlook.seconds / self.jobs + START * bool(self.outlook.missing)) / 60

    def json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        seen = self.outlook.json()
        return {
            "rows": self.rows,
            "reading": self.said,
            "models": self.models,
            "downloads": self.downloads,
            "memory_gib": None if self.memory is None else self.memory / 2**30,
            "minutes": self.minutes,
            "detectors": [asdict(one) for one in self.chosen.detectors],
            "judge": self.judge and asdict(self.judge),
            **{name: seen[name] for name in ("total", "missing", "seconds", "outdated")},
        }

    def __str__(self) -> str:
        detectors = self.chosen.detectors
        memory = "not known" if self.memory is None else f"{self.memory / 2**30:.1f} GiB in each process"
        lines = [
            f"Rows: {self.rows:,}.",
            *self.said,
            f"Models: {', '.join(self.models)}. Memory: {memory}.",
            f"Downloads: {'; '.join(self.downloads) or 'none'}.",
            *(f"{one.name.capitalize()}: {'runs' if one.ran else 'does not run'}, {one.why}." for one in detectors),
            *([str(self.judge)] if self.judge else []),
            str(self.outlook),
        ]
        return "\n".join(lines)


def audit_plan(
    chosen: Chosen, data: Loaded, clean: Loaded | None, store: Store, jobs: int, *, scores: bool = False
) -> AuditPlan:
    """Return what an audit would take, perhaps with scores of its rows; of files only as many rows are read as it uses.

    Raise `UserError` where the rows are too few, as the audit would.
    """
    reading, used = begun(data, chosen.rows)
    check_enough(data, used, FEWEST, "an audit")
    if isinstance(chosen.target, Audited) and chosen.target.for_rows is not None:
        check_dose(chosen.target.for_rows, used)
    if clean:
        check_enough(clean, begun(clean, LEAST_CLEAN)[1], LEAST_CLEAN, "a reference")
    bases = [node for node in everything(chosen.target) if isinstance(node, Base)]
    wanted: list[Node] = [chosen.target]
    if scores and isinstance(chosen.target, Audited):
        # The trait that comes first is known after the audit alone; towards any other they cost the same.
        wanted.append(scores_toward(chosen.target.shadow.traits[0], chosen.target))
    return AuditPlan(
        rows=used,
        said=tuple(describe_reading(reading)),
        models=tuple(map(str, bases)),
        downloads=tuple(filter(None, map(download, bases))),
        memory=max((base.load_resources.memory or 0 for base in bases), default=0) or None,
        outlook=outlook_of(wanted, store, given=used),
        jobs=jobs,
        chosen=chosen,
        judge=asking(chosen.target, used),
    )


def asking(target: Audited | Leaned, rows: int) -> Asking | None:
    """Return what a judge would be asked, if there is one; a set of clean rows holds no more rows than the data."""
    if target.judge is None:
        return None
    parts = [one.data for one in target.opinions if isinstance(one.data, Part)]
    ours, *clean = [min(part.n, rows) for part in parts]
    return Asking(str(target.judge.judged.model), ours, sum(clean))


def begun(data: Loaded, rows: int) -> tuple[Reading, int]:
    """Read up to so many rows; return what was met, and how many there were."""
    # Read beside the store: a dry run computes nothing and keeps nothing.
    reading = Reading(data.files, data.content, data.format, data.columns)
    return reading, sum(1 for _, _ in zip(range(rows), reading.rows(), strict=False))


def download(base: Base) -> str:
    """Say what is fetched for a base, if it is not on this disk."""
    if base.here or base.gives == "text" or cached(base.name, base.revision):
        return ""
    # Two bytes a parameter, as most are published.
    size = f"about {2 * base.parameters / 1e9:.1f} GB" if base.parameters else "of a size that is not known"
    return f"{base} from Hugging Face, {size}"
