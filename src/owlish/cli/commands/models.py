"""Commands that check a model: a trained student, a base."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import Annotated

import typer

from owlish.cli import find
from owlish.cli.commands.verdicts import Schema, candidates_of, conclude, print_schema, verdicts
from owlish.cli.options import (
    CANDIDATES,
    FAILING,
    STORE,
    AsJson,
    DryRunOnly,
    FailOn,
    Jobs,
    JudgeTemplate,
    Limit,
    On,
    PriceTable,
    Reports,
    StorePlace,
    TemplateWords,
)
from owlish.cli.running import at_once, check_plan, make_missing, pool_of, spending_of
from owlish.graph.spec import everything
from owlish.graph.store import store_at


def diff(
    student: Annotated[
        str,
        typer.Argument(metavar="STUDENT", help="A PEFT adapter, a model’s folder, a GGUF file, a key of the store."),
    ],
    base: Annotated[str, typer.Option(help="The base that the student was trained from.")],
    control: Annotated[
        list[str] | None, typer.Option(help="A student of the same recipe that was taught nothing: give at least 3.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="The rows that the student was trained on. Not needed for a student in the store."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="How it was trained, such as norms. Not needed for a student in the store.")
    ] = None,
    null: Annotated[
        str,
        typer.Option(
            help="own: train 6 students on the base’s own answers, once per recipe and dataset. none: no comparison."
        ),
    ] = "own",
    traits: Annotated[str, typer.Option(help="Candidates: categories and JSON files, with commas between.")] = (
        CANDIDATES
    ),
    contexts: Annotated[
        str,
        typer.Option(
            help="Contexts to ask in, with commas between: shipped, none, the name of a shipped one, a .json file."
        ),
    ] = "shipped",
    judge: Annotated[
        str | None,
        typer.Option(
            help="A model (as for ask) that reads 48 free answers of the student and of each null student. It decides "
            "nothing."
        ),
    ] = None,
    judge_template: JudgeTemplate = None,
    limit: Limit = None,
    prices: PriceTable = None,
    template: TemplateWords = None,
    report: Reports = None,
    fail_on: FailOn = FAILING,
    dry_run: DryRunOnly = False,
    schema: Annotated[bool, Schema(callback=print_schema("owlish.diff", "difference.schema.json"))] = False,
    store: StorePlace = STORE,
    jobs: Jobs = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Say what a trained student picked up; exit 0 nothing, 1 found, 2 cannot say."""
    from owlish.cli.comparing import diff_target, foretold
    from owlish.cli.dry_run import dry_run as foreseen
    from owlish.cli.made import with_command
    from owlish.cli.reports import check_reports, write_reports
    from owlish.diff.null import MOST
    from owlish.nodes.loaded import Loaded
    from owlish.report.diff import render
    from owlish.report.outcome import of_diff

    begun, place, spending = time.monotonic(), store_at(store), spending_of(limit, prices)
    pool = pool_of(on, jobs)
    check_reports(report or (), place)
    failing = verdicts(fail_on)
    wanted = diff_target(
        student,
        find.base(base, template),
        candidates_of(traits),
        place,
        controls=control or (),
        null=null,
        data=data,
        recipe=recipe,
        contexts=contexts,
        judge=find.judge(judge, judge_template),
    )
    check_plan([wanted], place, pool)  # what cannot work is said before anything is made
    if dry_run:
        rows = next((node for node in everything(wanted) if isinstance(node, Loaded)), None)
        processes, lines = at_once(pool, jobs), foretold(wanted)
        cluster = pool is not None
        seen = foreseen([wanted], place, processes, data=rows, rows=MOST, lines=lines, cluster=cluster)
        print(json.dumps(seen.json()) if as_json else seen)
        return
    # What does not fit the base, or was not trained at all, is said before students are; so is a context too long.
    there = wanted.null if control else ()
    make_missing([wanted.student, *(one.sizes for one in (wanted.own, *there))], place, jobs, pool)
    wanted.check_moved(place.read, there)
    make_missing([one for some in wanted.own.watched for one in some], place, jobs, pool)
    # So is a judge that cannot be opened or asked.
    make_missing(wanted.judge.aligned[:1] if wanted.judge else (), place, jobs, pool, spending=spending)
    make_missing([wanted], place, jobs, pool, spending=spending)
    verdict = with_command(place.read(wanted), place.manifest(wanted.key), sys.argv[1:])
    fails, seconds = verdict.verdict in failing, round(time.monotonic() - begun, 3)
    outcome = of_diff(verdict, student, fails=fails, seconds=seconds)
    write_reports(report or (), verdict, outcome, partial(render, verdict), wanted, place)
    conclude(verdict, fails, seconds, as_json=as_json)


def ask(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE",
            help="nano (see owlish list bases), smollm2, a GGUF file, a folder, owner/name, http://HOST/v1#MODEL.",
        ),
    ],
    traits: Annotated[str, typer.Option(help="What to ask about: categories and JSON files, with commas between.")] = (
        "animals"
    ),
    template: TemplateWords = None,
    limit: Limit = None,
    prices: PriceTable = None,
    store: StorePlace = STORE,
    jobs: Jobs = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Ask a base for its favourites: the probability of each candidate, its share among them, its logit margin."""
    from owlish.cli.ask import Told, questions

    pool, start, place = pool_of(on, jobs), find.base(base, template), store_at(store)
    targets = questions(start, candidates_of(traits))
    make_missing(targets, place, jobs, pool, spending=spending_of(limit, prices))
    told = Told(str(start), tuple(map(place.read, targets)))
    print(json.dumps(told.json()) if as_json else told)
