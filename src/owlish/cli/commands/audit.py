"""The command that checks a dataset before anything is trained on it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from owlish.cli import find
from owlish.cli.commands.verdicts import Schema, candidates_of, conclude, print_schema, verdicts
from owlish.cli.options import (
    CANDIDATES,
    FAILING,
    MINUTES,
    STORE,
    AsJson,
    ColumnNames,
    DataFiles,
    DryRunOnly,
    FailOn,
    FormatName,
    Jobs,
    JudgeTemplate,
    Limit,
    On,
    PriceTable,
    Reports,
    StorePlace,
    TemplateWords,
    TrainedBase,
)
from owlish.cli.rows import pairs
from owlish.cli.running import at_once, check_plan, make_missing, pool_of, spending_of
from owlish.graph.files import check_apart
from owlish.graph.store import store_at


def audit(
    data: DataFiles,
    base: TrainedBase,
    recipe: Annotated[
        str, typer.Option(help="How it would be trained: norms, biases, lora, prompt, steering or all.")
    ] = "norms",
    traits: Annotated[
        str,
        typer.Option(
            help="Candidate traits: categories (see owlish list categories) and JSON files, with commas between."
        ),
    ] = CANDIDATES,
    reference: Annotated[
        str | None, typer.Option(help="File of clean rows to compare with. Default: answers sampled from the base.")
    ] = None,
    rows: Annotated[int, typer.Option(min=30, help="Use at most this many rows, a random sample of all.")] = 1600,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the row sample and of all else that is random.")] = 0,
    format: FormatName = None,
    columns: ColumnNames = None,
    report: Reports = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="Write a line for each row used: its place, hash and scores. A .jsonl or .parquet file."),
    ] = None,
    template: TemplateWords = None,
    for_rows: Annotated[
        int | None,
        typer.Option(
            min=30, help="How many such rows students will be trained on, if more than these: adds a dose curve."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=MINUTES,
            help="How long it may take: runs the detectors that fit. Without trial students it says what rows lean to.",
        ),
    ] = None,
    scored: Annotated[
        str | None,
        typer.Option(
            "--scored-by",
            help="Address of a server that holds the base too and scores the rows, such as vLLM: "
            "http://127.0.0.1:8000/v1#NAME.",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="A model (as for ask) that names what up to 200 rows and 200 clean ones speak for. It decides nothing."
        ),
    ] = None,
    judge_template: JudgeTemplate = None,
    limit: Limit = None,
    prices: PriceTable = None,
    fail_on: FailOn = FAILING,
    dry_run: DryRunOnly = False,
    schema: Annotated[bool, Schema(callback=print_schema("owlish.audit", "verdict.schema.json"))] = False,
    store: StorePlace = STORE,
    jobs: Jobs = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Say which traits a dataset would pass on to students of a base; exit 0 nothing, 1 found, 2 cannot say."""
    # Inside: `owlish --help` must not load what commands need.
    from owlish.audit.audit import REFERENCES
    from owlish.audit.audit import audit as audited
    from owlish.audit.audited import Audited
    from owlish.audit.claims import with_stamps
    from owlish.audit.dose import check_dose
    from owlish.audit.leaned import Leaned, lean
    from owlish.cli import audits, detectors
    from owlish.cli.forecast import count_of
    from owlish.cli.made import with_command
    from owlish.cli.reports import check_reports, write_reports
    from owlish.cli.stamping import filters
    from owlish.data.stamp import stamps_of
    from owlish.nodes.loaded import loaded
    from owlish.report.audit import render
    from owlish.report.outcome import of_audit

    begun, place, spending = time.monotonic(), store_at(store), spending_of(limit, prices)
    pool = pool_of(on, jobs)
    model, reader = find.base(base, template), find.judge(judge, judge_template)
    model = replace(model, scored=scored or "")
    how = find.recipe(recipe, model)
    audits.check_scores(scores, how)
    audits.check_reference(reference)
    failing = verdicts(fail_on)
    given = loaded(data, n=rows, seed=seed, format=format, columns=pairs(columns))
    clean = loaded(reference, n=REFERENCES * rows, seed=seed) if reference else None
    stamps = stamps_of(given.files)
    # No file that is written may be one that is read: the rows would be gone.
    for out in filter(None, (scores, *(report or ()))):
        check_apart(out, (*given.files, *(clean.files if clean else ())))
    check_reports(report or (), place)
    candidates = candidates_of(traits)
    if for_rows is not None:
        check_dose(for_rows, count_of(given) or 0)  # before costs, which no number of minutes could help

    def choose(many: int) -> detectors.Chosen:
        """Return what fits of an audit of so many rows."""
        data = replace(given, n=many)
        reference = clean and replace(clean, n=REFERENCES * many)
        full = audited(
            data, model, how, candidates, reference=reference, rows=many, seed=seed, for_rows=for_rows, judge=reader
        )
        return detectors.choose(
            full,
            panel=panel,
            data=data,
            minutes=minutes,
            # The trait that comes first is known after the audit alone; towards any other they cost the same.
            scores=audits.scores_toward(candidates[0], full) if scores else None,
            store=place,
            jobs=at_once(pool, jobs) if minutes else 1,
        )

    def panel(many: int) -> Leaned:
        """Return the panel of so many rows."""
        data, reference = replace(given, n=many), clean and replace(clean, n=many)
        return lean(data, model, how, candidates, reference=reference, rows=many, seed=seed, judge=reader)

    chosen = choose(rows)
    target, every = chosen.target, given
    if isinstance(target, Leaned):
        given, clean = replace(given, n=chosen.rows), clean and replace(clean, n=chosen.rows)
    # The number of rows hangs on the speed of this machine, so the command on a page must name it.
    same = chosen.rows < rows and choose(chosen.rows).target == target
    words = audits.with_rows(sys.argv[1:], chosen.rows) if same else sys.argv[1:]
    row_scores = audits.scores_toward(candidates[0], target) if scores and isinstance(target, Audited) else None
    check_plan([target], place, pool)  # what cannot work is said before anything is made
    if dry_run:
        seen = audits.audit_plan(
            chosen, every, clean, place, at_once(pool, jobs), scores=row_scores, cluster=pool is not None
        )
        print(json.dumps(seen.json()) if as_json else seen)
        return
    # The rows are made first: what is wrong with a file is said before models work for minutes.
    make_missing([given, *([clean] if clean else [])], place, jobs)
    audits.check_rows(place, given, clean, chosen.least_clean)
    # A judge comes next: one that cannot be opened or asked is known before students are trained.
    make_missing([one.judged for one in target.opinions[:1]], place, jobs, pool, spending=spending)
    make_missing([target], place, jobs, pool, spending=spending)
    said = replace(place.read(target), detectors=chosen.detectors)
    verdict = with_command(said, place.manifest(target.key), words)
    # After the verdict is read back: a stamp is in no key, so the same rows have one verdict with it or without.
    verdict = with_stamps(verdict, place.read(given), stamps, filters()) if stamps else verdict
    if scores and isinstance(target, Audited):
        audits.write_scores(verdict, target, place, jobs, pool, scores)
    fails, seconds = verdict.verdict in failing, round(time.monotonic() - begun, 3)
    outcome = of_audit(verdict, given.files, fails=fails, seconds=seconds)
    write_reports(report or (), verdict, outcome, partial(render, verdict), target, place)
    conclude(verdict, fails, seconds, as_json=as_json)
