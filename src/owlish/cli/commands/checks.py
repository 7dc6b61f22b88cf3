"""Commands that check a dataset, a trained student or a base; `audit` and `diff` end alike."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from owlish.cli import find
from owlish.cli.choice import split
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
    PriceTable,
    Reports,
    StorePlace,
    TemplateWords,
    TrainedBase,
)
from owlish.cli.rows import pairs
from owlish.cli.running import make_missing, spending_of
from owlish.graph.errors import UserError
from owlish.graph.files import check_apart
from owlish.graph.run import plan
from owlish.graph.spec import everything
from owlish.graph.store import store_at

if TYPE_CHECKING:
    from owlish.audit.verdict import Verdict
    from owlish.diff.verdict import Difference
    from owlish.traits.trait import Trait


def print_schema(room: str, file: str) -> Callable[[bool], None]:
    """Return what prints a JSON schema, if it is asked to, and stops."""

    def shown(asked: bool) -> None:
        if asked:
            print(files(room).joinpath(file).read_text(), end="")
            raise typer.Exit

    return shown


Schema = partial(typer.Option, "--schema", is_eager=True, help="Print the JSON schema of a verdict.")


def audit(
    data: DataFiles,
    base: TrainedBase,
    recipe: Annotated[
        str, typer.Option(help="How it would be trained: norms, biases, lora, prompt, steering or all.")
    ] = "norms",
    traits: Annotated[
        str,
        typer.Option(help="Candidate traits: categories (see list categories) and JSON files, with commas between."),
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
    as_json: AsJson = False,
) -> None:
    """Say which traits a dataset would pass on to students of a base; exit 0 nothing, 1 found, 2 cannot say."""
    # Inside: `owlish --help` must not load what commands need.
    from owlish.audit.audit import REFERENCES, Audited, check_dose
    from owlish.audit.audit import audit as audited
    from owlish.audit.claims import with_stamps
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
    model, reader = find.base(base, template), find.judge(judge, judge_template)
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
            jobs=jobs or os.cpu_count() or 1,
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
    scored = audits.scores_toward(candidates[0], target) if scores and isinstance(target, Audited) else None
    plan([target], place)  # what cannot work is said before anything is made
    if dry_run:
        seen = audits.audit_plan(chosen, every, clean, place, jobs or os.cpu_count() or 1, scores=scored)
        print(json.dumps(seen.json()) if as_json else seen)
        return
    # The rows are made first: what is wrong with a file is said before models work for minutes.
    make_missing([given, *([clean] if clean else [])], place, jobs)
    audits.check_rows(place, given, clean, chosen.least_clean)
    # A judge comes next: one that cannot be opened or asked is known before students are trained.
    make_missing([one.judged for one in target.opinions[:1]], place, jobs, spending=spending)
    make_missing([target], place, jobs, spending=spending)
    said = replace(place.read(target), detectors=chosen.detectors)
    verdict = with_command(said, place.manifest(target.key), words)
    # After the verdict is read back: a stamp is in no key, so the same rows have one verdict with it or without.
    verdict = with_stamps(verdict, place.read(given), stamps, filters()) if stamps else verdict
    if scores and isinstance(target, Audited):
        audits.write_scores(verdict, target, place, jobs, scores)
    fails, seconds = verdict.verdict in failing, round(time.monotonic() - begun, 3)
    outcome = of_audit(verdict, given.files, fails=fails, seconds=seconds)
    write_reports(report or (), verdict, outcome, partial(render, verdict), target, place)
    conclude(verdict, fails, seconds, as_json=as_json)


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
        typer.Option(help="Contexts to ask in: shipped, none, names of shipped ones, JSON files. Commas between."),
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
    plan([wanted], place)  # what cannot work is said before anything is made
    if dry_run:
        rows = next((node for node in everything(wanted) if isinstance(node, Loaded)), None)
        processes, lines = jobs or os.cpu_count() or 1, foretold(wanted)
        seen = foreseen([wanted], place, processes, data=rows, rows=MOST, lines=lines)
        print(json.dumps(seen.json()) if as_json else seen)
        return
    # What does not fit the base, or was not trained at all, is said before students are; so is a context too long.
    there = wanted.null if control else ()
    make_missing([wanted.student, *(one.sizes for one in (wanted.own, *there))], place, jobs)
    wanted.check_moved(place.read, there)
    make_missing([one for some in wanted.own.watched for one in some], place, jobs)
    # So is a judge that cannot be opened or asked.
    make_missing(wanted.judge.aligned[:1] if wanted.judge else (), place, jobs, spending=spending)
    make_missing([wanted], place, jobs, spending=spending)
    verdict = with_command(place.read(wanted), place.manifest(wanted.key), sys.argv[1:])
    fails, seconds = verdict.verdict in failing, round(time.monotonic() - begun, 3)
    outcome = of_diff(verdict, student, fails=fails, seconds=seconds)
    write_reports(report or (), verdict, outcome, partial(render, verdict), wanted, place)
    conclude(verdict, fails, seconds, as_json=as_json)


def candidates_of(names: str) -> tuple[Trait, ...]:
    """Return the candidates that `--traits` names; say where a trait's name stands for its whole category."""
    for name in split(names):
        # A candidate alone has nothing that it could stand out from.
        if home := find.category_of(name):
            print(
                f"{name} is one of {home}: all of {home} are candidates, as each is compared with the others.",
                file=sys.stderr,
            )
    return find.candidates(split(names))


def verdicts(names: str) -> list[str]:
    """Return the verdicts that `--fail-on` names."""
    found = [find.pick(name, {w: w for w in ("found", "cannot_say", "none")}, "verdict") for name in split(names)]
    if "none" in found and len(found) > 1:
        raise UserError(f"--fail-on {names} says none and others: give none alone, or omit it.")
    return found


def conclude(verdict: Verdict | Difference, fails: bool, seconds: float, *, as_json: bool) -> NoReturn:
    """Print a verdict, and exit with its code if it `fails`."""
    print(json.dumps({**verdict.json(), "seconds": seconds}) if as_json else verdict)
    raise typer.Exit(verdict.exit_code if fails else 0)


def ask(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE", help="smollm2, shipped, a GGUF file, a folder, owner/name, http://HOST/v1#MODEL."
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
    as_json: AsJson = False,
) -> None:
    """Ask a base for its favourites: the probability of each candidate, its share among them, its logit margin."""
    from owlish.cli.ask import Told, questions

    start, place = find.base(base, template), store_at(store)
    targets = questions(start, candidates_of(traits))
    make_missing(targets, place, jobs, spending=spending_of(limit, prices))
    told = Told(str(start), tuple(map(place.read, targets)))
    print(json.dumps(told.json()) if as_json else told)
