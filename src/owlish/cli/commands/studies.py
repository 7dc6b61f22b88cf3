"""Commands about studies: run them, say what that takes, write their pages."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from owlish.cli import find
from owlish.cli.choice import Choice, Small, choose, spread
from owlish.cli.options import STORE, AsJson, InBatches, Jobs, Limit, On, Out, Page, PriceTable, StorePlace
from owlish.cli.running import (
    check_plan,
    check_study_page,
    existing,
    held_studies,
    pool_of,
    run_studies,
    spending_of,
    write_report,
)
from owlish.graph.curves import curves_of
from owlish.graph.errors import UserError
from owlish.graph.spec import everything
from owlish.graph.store import store_at
from owlish.graph.tabled import inert, on_one_line
from owlish.nodes.base import Base
from owlish.study.study import Study

StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="A shipped study (owlish list studies), a Python file that binds one, or the word all."
    ),
]


def demo(store: StorePlace = STORE, jobs: Jobs = None, on: On = None, output: Out = Path("owlish-demo.html")) -> None:
    """Show on this machine that a preference for owls passes through numbers, and write the report."""
    pool, studies = pool_of(on, jobs), choose(["demo"], Choice())
    check_study_page(output)
    place = store_at(store)
    check_plan([node for study in studies.values() for node in study.needs], place, pool)
    # Now, and not with the first result: processes take a while to start, on a busy machine half a minute.
    print(
        f"Training in {on_one_line(store)}. Ctrl-C may stop it: the same command goes on from there.",
        file=sys.stderr,
        flush=True,
    )
    print(run_studies(studies.values(), place, jobs, pool))
    write_report(studies, place, output)
    print(f"The report is {on_one_line(output.resolve())}.")
    for study in studies.values():
        print(next_steps(study, store))


def next_steps(study: Study, store: str) -> str:
    """Return what to type after a study: audit the rows that its first teacher wrote, or rows of one's own."""
    (trait, (rows, *_)), *_ = study.rows_shown
    base = next(node for node in everything(rows) if isinstance(node, Base))
    place = "" if store == STORE else f" --store {shlex.quote(store)}"
    return (
        f"Next: audit the rows that a teacher of the trait {trait} wrote, as a dataset that you were handed:\n"
        f"  owlish export {rows.key[:12]} -o {trait}-rows.jsonl{place}\n"
        f"  owlish audit {trait}-rows.jsonl --base {base.name}{place}\n"
        "Or rows of your own, with the base that you would train: owlish audit DATA.jsonl --base FOLDER"
    )


@spread
def run(
    study: StudyName,
    choice: Choice,
    store: StorePlace = STORE,
    jobs: Jobs = None,
    on: On = None,
    limit: Limit = None,
    prices: PriceTable = None,
    batch: InBatches = False,
    report: Page = None,
    curves: Annotated[
        str | None, typer.Option(help="Draw training and probes while they run: tensorboard:FOLDER, wandb:PROJECT.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a study, or what is left of it. It is safe to interrupt."""
    pool, spending = pool_of(on, jobs), spending_of(limit, prices, batch=batch)
    studies = choose([study], choice)
    if batch and not any(node.pays for each in studies.values() for node in everything(*each.needs)):
        raise UserError("--batch is for models that a service holds, and this study has none: omit it.")
    check_study_page(report)
    drawn = curves_of(curves, group="-".join(one.name for one in studies.values())[:64]) if curves is not None else None
    finished = run_studies(studies.values(), store_at(store), jobs, pool, drawn, spending)
    if report:
        write_report(studies, store_at(store), report)
    print(json.dumps(finished.json()) if as_json else finished)


@spread
def plan(
    study: StudyName,
    choice: Choice,
    prices: PriceTable = None,
    store: StorePlace = STORE,
    as_json: AsJson = False,
) -> None:
    """Say what a run would make, how long similar results took before, and, with --prices, what services would cost."""
    from owlish.cli.plan import outlook

    studies = choose([study], choice)
    seen = outlook(studies, store_at(store), spending_of(None, prices))
    print(json.dumps(seen.json()) if as_json else seen)


@spread
def report(
    choice: Choice,
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="STUDY...", help="Studies that were run, or the word all.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page, or a folder for page, figures (SVG), CSV and JSON.")
    ] = None,
    store: StorePlace = STORE,
) -> None:
    """Write one self-contained page about studies that were run; without a study, say which the store holds."""
    if not studies:
        if output is not None or choice != Choice():
            raise UserError(
                "which study is the report about? Name it first: owlish report alone lists those that are there."
            )
        none = f"No shipped study was run to its end in {on_one_line(store)}: run one, such as owlish run owl --small."
        print("\n".join(held_studies(existing(store))) or none)
        return
    wanted = choose(studies, choice)
    if output is None:
        raise UserError(f"where to? Name the page: --output {Path(studies[0]).stem}.html.")
    check_study_page(output)
    write_report(wanted, store_at(store), output)
    print(f"The report is {on_one_line(output.resolve())}.")


def bench(
    name: Annotated[str, typer.Argument(help="What to benchmark: audit, sizes or clean.")],
    small: Small = False,
    store: StorePlace = STORE,
    jobs: Jobs = None,
    on: On = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The page to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the audit (its detectors, or its verdicts by rows) or cleaning, where the truth is known. Takes hours."""
    from owlish.cli.plan import outlook

    shipped = {"audit": "audit_bench", "sizes": "audit_sizes", "clean": "clean_bench"}
    pool, study = pool_of(on, jobs), find.pick(name, shipped, "benchmark")
    check_study_page(output)
    studies = choose([study], Choice(small=small))
    place = store_at(store)
    check_plan([node for study in studies.values() for node in study.needs], place, pool)
    # The cost comes before the hours, on standard error: `--json` prints one object and nothing else.
    print(inert(str(outlook(studies, place))), file=sys.stderr)
    finished = run_studies(studies.values(), place, jobs, pool)
    print(json.dumps(finished.json()) if as_json else finished)
    if output:
        write_report(studies, place, output)
        print(f"The report is {on_one_line(output.resolve())}.", file=sys.stderr if as_json else sys.stdout)
