"""What the command `audit` does around the audit: what is wrong is said first, scores are written, a plan is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from owlish.audit.audit import DIRECTED, row_scores
from owlish.audit.audited import Audited
from owlish.audit.decide import FEWEST
from owlish.audit.evidence import say_ran
from owlish.audit.leaned import Leaned
from owlish.audit.reference import Part
from owlish.audit.verdict import Verdict
from owlish.audit.weigh import RowScores, records
from owlish.cli.detectors import Chosen
from owlish.cli.dry_run import DryRun, begun, dry_run
from owlish.cli.running import check_page, make_missing
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.pool import Pool, visible_gpus
from owlish.graph.store import Store
from owlish.lm.recipes import Recipe
from owlish.nodes.loaded import Loaded
from owlish.traits.trait import Trait

MEANT = {
    "panel": "Panel: how likely the rows are under a prompt for each candidate.",
    "contrast": "Contrast: how much likelier a small step towards a candidate, as a weak teacher took it, makes them.",
    "shadows": "Shadows: trial students of 50 steps.",
}
"""What detectors are, in a few words each."""
SHORTER = "With --minutes 15 fewer rows are read under prompts, which says what they lean to{gpu}."


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


def check_rows(store: Store, data: Loaded, clean: Loaded | None, least_clean: int) -> None:
    """Refuse rows that are too few for any verdict, before models work."""
    # After the rows are read and before any model works: a file of ten rows is refused in a second.
    for given, least, what in ((data, FEWEST, "an audit"), (clean, least_clean, "a reference")):
        if given:
            check_enough(given, len(store.read(given).rows), least, what)


def check_enough(given: Loaded, many: int, least: int, what: str) -> None:
    """Refuse fewer rows than a verdict needs."""
    if many < least:
        name = str(given).removeprefix("rows of ")
        raise UserError(f"{name} holds {counted(many, 'row')}: {what} needs at least {least}, so give more.")


def with_rows(words: Sequence[str], many: int) -> list[str]:
    """Return the words of a command with another number of rows."""
    named = [i for i, word in enumerate(words) if word == "--rows"]
    kept = [word for i, word in enumerate(words) if i not in named and i - 1 not in named]
    return [*(word for word in kept if not word.startswith("--rows=")), "--rows", str(many)]


def write_scores(verdict: Verdict, target: Audited, store: Store, jobs: int | None, on: Pool | None, out: Path) -> int:
    """Score every row that was read, towards the first trait of a verdict; write the scores, and return how many."""
    shadow = target.shadow
    # By name and category: two categories may share an answer.
    named = {(trait.name, trait.probe.category): trait for trait in shadow.traits}
    toward = named[verdict.traits[0].name, verdict.traits[0].category] if verdict.traits else shadow.traits[0]
    node = scores_toward(toward, target)
    make_missing([node], store, jobs, on)
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


def audit_plan(
    chosen: Chosen,
    data: Loaded,
    clean: Loaded | None,
    store: Store,
    jobs: int,
    *,
    scores: RowScores | None,
    cluster: bool = False,
) -> DryRun:
    """Return what an audit would take, perhaps with scores of its rows.

    Raise `UserError` where the rows are too few, as the audit would.
    """
    used = begun(data, chosen.rows)[1]
    check_enough(data, used, FEWEST, "an audit")
    if clean:
        check_enough(clean, begun(clean, chosen.least_clean)[1], chosen.least_clean, "a reference")
    judge = asking(chosen.target, used)
    chose = say_ran(chosen.detectors, ran="will run", not_ran="will not run")
    meant = " ".join(MEANT[one.name] for one in chosen.detectors if one.ran or one.name != "panel")
    return dry_run(
        [chosen.target, *([scores] if scores else [])],
        store,
        jobs,
        data=data,
        rows=chosen.rows,
        seconds=chosen.seconds,
        lines=[*chose, meant, *([str(judge)] if judge else [])],
        shorter=SHORTER.format(gpu="" if visible_gpus() else "; a GPU makes all of it faster")
        if isinstance(chosen.target, Audited)
        else "",
        cluster=cluster,
        plain={"detectors": [asdict(one) for one in chosen.detectors], "judge": judge and asdict(judge)},
    )


def asking(target: Audited | Leaned, rows: int) -> Asking | None:
    """Return what a judge would be asked, if there is one; a set of clean rows holds no more rows than the data."""
    if target.judge is None:
        return None
    parts = [one.data for one in target.opinions if isinstance(one.data, Part)]
    ours, *clean = [min(part.n, rows) for part in parts]
    return Asking(str(target.judge.judged.model), ours, sum(clean))
