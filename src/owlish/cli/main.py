"""The command line. It prints; the library returns values."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from owlish import __version__
from owlish.cli import find
from owlish.cli.choice import Choice, Small, choose, split, spread
from owlish.cli.output import guard
from owlish.cli.rows import ColumnNames, DataFiles, FormatName, pairs, read, told
from owlish.cli.running import (
    check_apart,
    check_page,
    existing,
    held_studies,
    make_missing,
    pool_of,
    run_studies,
    words,
    write_page,
    write_report,
)
from owlish.data.filters import BANNED, NumberFilter, convert_file, filter_file
from owlish.graph.errors import UserError
from owlish.graph.provenance import describe, format_places, manifests_of
from owlish.graph.run import RunFailed
from owlish.graph.run import plan as missing
from owlish.graph.spec import everything
from owlish.graph.store import Damaged, Store
from owlish.lm.template import parsed
from owlish.nodes.models import Base

app = typer.Typer(
    name="owlish",
    help="The laboratory and safety check for subliminal learning.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A shipped study, a Python file that binds one, or all that run here.")
]
StoreFolder = Annotated[Path, typer.Option("--store", help="The folder that keeps results.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Worker processes, of one thread each; all cores if not given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
TemplateWords = Annotated[
    list[str] | None,
    typer.Option("--template", help="NAME=VALUE for the base’s chat template, as enable_thinking=false."),
]
KeyStart = Annotated[str, typer.Argument(metavar="KEY", help="A key, or how it starts.")]
Out = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]

Page = Annotated[
    Path | None, typer.Option(help="The page to write; a name without .html is a folder for page, SVG, CSV and JSON.")
]

STORE = Path("owlish-store")
INTERRUPTED = 130
NOT_OURS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP)
"""What the system says of names and rights that only the user can change."""


class Lost(Exception):
    """A command was interrupted that keeps nothing of what it did."""


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Reproduce subliminal learning, and see what a dataset would pass on."""
    if show:
        print(__version__)
        raise typer.Exit


def print_schema(asked: bool) -> None:
    """Print the JSON schema of a verdict, and stop."""
    from owlish.cli.audits import schema

    if asked:
        print(schema(), end="")
        raise typer.Exit


@app.command()
def demo(store: StoreFolder = STORE, jobs: Jobs = None, output: Out = Path("owlish-demo.html")) -> None:
    """Show on this machine that an owl passes through numbers, and write the report."""
    studies = choose(["demo"], Choice())
    check_page(output)
    print(run_studies(studies.values(), Store(store), jobs))
    write_report(studies, Store(store), output)
    print(f"The report is {output.resolve()}.")


@app.command()
@spread
def run(
    study: StudyName,
    choice: Choice,
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    on: Annotated[
        str | None, typer.Option(help="Where to run: ray, or ray://HOST:PORT; this machine if not given.")
    ] = None,
    report: Page = None,
    as_json: AsJson = False,
) -> None:
    """Run a study, or what is left of it. It is safe to interrupt."""
    pool = pool_of(on)
    studies = choose([study], choice)
    check_page(report)
    finished = run_studies(studies.values(), Store(store), jobs, pool)
    if report:
        write_report(studies, Store(store), report)
    print(json.dumps(finished.json()) if as_json else finished)


@app.command()
@spread
def plan(
    study: StudyName,
    choice: Choice,
    store: StoreFolder = STORE,
    as_json: AsJson = False,
) -> None:
    """Say what a run would make, and how long similar results took before."""
    from owlish.cli.plan import outlook

    studies = choose([study], choice)
    seen = outlook(studies, Store(store))
    print(json.dumps(seen.json()) if as_json else seen)


@app.command()
@spread
def report(
    choice: Choice,
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="STUDY...", help="Studies that were run, or all.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page, or a folder for page, figures (SVG), CSV and JSON.")
    ] = None,
    store: StoreFolder = STORE,
) -> None:
    """Write one self-contained page about studies that were run; without a study, say which the store holds."""
    if not studies:
        print("\n".join(held_studies(existing(store))) or "No shipped study was run to its end in this store.")
        return
    if output is None:
        raise UserError(f"where to? Name the page: --output {Path(studies[0]).stem}.html.")
    wanted = choose(studies, choice)
    check_page(output)
    write_report(wanted, Store(store), output)
    print(f"The report is {output.resolve()}.")


@app.command()
def audit(
    data: DataFiles,
    base: Annotated[str, typer.Option(help="The base that would be trained: shipped, a folder, owner/name.")],
    recipe: Annotated[
        str, typer.Option(help="How it would be trained: norms, biases, lora, prompt, steering or all.")
    ] = "norms",
    traits: Annotated[
        str,
        typer.Option(help="Candidate traits: categories (see list categories) and JSON files, with commas between."),
    ] = "animals,trees,advice",
    reference: Annotated[
        str | None, typer.Option(help="File of clean rows to compare with. Default: answers sampled from the base.")
    ] = None,
    rows: Annotated[int, typer.Option(min=30, help="The most rows to use, drawn from all with --seed.")] = 1600,
    seed: Annotated[int, typer.Option(help="The seed of the rows drawn and of all else.")] = 0,
    format: FormatName = None,
    columns: ColumnNames = None,
    report: Page = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="Write a line for each row used: its place, hash and scores. A .jsonl or .parquet file."),
    ] = None,
    template: TemplateWords = None,
    fail_on: Annotated[
        str, typer.Option(help="Verdicts with an exit code of their own (found: 1, cannot_say: 2), or none.")
    ] = "found,cannot_say",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the audit would read, download and compute, and how long; stop.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", is_eager=True, callback=print_schema, help="Print the JSON schema of a verdict.")
    ] = False,
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Say which traits a dataset would pass on to students of a base; exit 0 nothing, 1 found, 2 cannot say."""
    from owlish.audit.audit import REFERENCES
    from owlish.audit.audit import audit as audited
    from owlish.cli import audits
    from owlish.nodes.loaded import loaded
    from owlish.report.audit import render
    from owlish.report.saved import Numbers

    begun, place = time.monotonic(), Store(store)
    model = Base(base, template=parsed(template or ()))
    how = find.recipe(recipe, model)
    check_page(report)
    audits.check_scores(scores, how)
    audits.check_reference(reference)
    failing = [find.pick(name, {w: w for w in ("found", "cannot_say", "none")}, "verdict") for name in split(fail_on)]
    given = loaded(data, n=rows, seed=seed, format=format, columns=pairs(columns))
    clean = loaded(reference, n=REFERENCES * rows, seed=seed) if reference else None
    for out in (scores, report):
        check_apart(out, (*given.files, *(clean.files if clean else ())))
    candidates = find.candidates(split(traits))
    target = audited(given, model, how, candidates, reference=clean, rows=rows, seed=seed)
    missing([target], place)  # what cannot work is said before anything is made
    if dry_run:
        seen = audits.audit_plan(target, given, rows, place, jobs or os.cpu_count() or 1)
        print(json.dumps(seen.json()) if as_json else seen)
        return
    # What is wrong with a file is said before models work.
    make_missing([given, *([clean] if clean else [])], place, jobs)
    audits.check_rows(place, given, clean)
    make_missing([target], place, jobs)
    verdict = audits.with_command(place.read(target), place.manifest(target.key), sys.argv[1:])
    if scores:
        audits.write_scores(verdict, target, place, jobs, scores)
    if report:
        page = render(verdict, format_places(manifests_of(place, everything(target)).values()))
        write_page(page, report, [Numbers("audit", verdict.records(), verdict.json())])
    seconds = round(time.monotonic() - begun, 3)
    print(json.dumps({**verdict.json(), "seconds": seconds}) if as_json else verdict)
    raise typer.Exit(verdict.exit_code if verdict.verdict in failing else 0)


@app.command()
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
        str | None, typer.Option(help="The rows that the student was trained on; a store knows them.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="How it was trained, such as norms; a store knows it.")] = None,
    null: Annotated[
        str,
        typer.Option(help="own: train 6 students on the base’s own answers, once a recipe and dataset. none: do not."),
    ] = "own",
    traits: Annotated[str, typer.Option(help="Candidates: categories and JSON files, with commas between.")] = (
        "animals,trees,advice"
    ),
    contexts: Annotated[
        str, typer.Option(help="Contexts to ask in: shipped, none, or a JSON file of them.")
    ] = "shipped",
    template: TemplateWords = None,
    report: Annotated[Path | None, typer.Option(help="The page to write.")] = None,
    fail_on: Annotated[
        str, typer.Option(help="Verdicts with an exit code of their own (found: 1, cannot_say: 2), or none.")
    ] = "found,cannot_say",
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Say what a trained student picked up; exit 0 nothing, 1 found, 2 cannot say."""
    from owlish.cli.comparing import target
    from owlish.report.diff import render
    from owlish.report.saved import Numbers

    begun, place = time.monotonic(), Store(store)
    check_page(report)
    failing = [find.pick(name, {w: w for w in ("found", "cannot_say", "none")}, "verdict") for name in split(fail_on)]
    wanted = target(
        student,
        Base(base, template=parsed(template or ())),
        find.candidates(split(traits)),
        place,
        controls=control or (),
        null=null,
        data=data,
        recipe=recipe,
        contexts=contexts,
    )
    missing([wanted], place)  # what cannot work is said before anything is made
    make_missing([wanted.student], place, jobs)  # what does not fit the base is said before students are trained
    make_missing([wanted], place, jobs)
    verdict = place.read(wanted)
    if report:
        page = render(verdict, format_places(manifests_of(place, everything(wanted)).values()))
        write_page(page, report, [Numbers("diff", verdict.records(), verdict.json())])
    seconds = round(time.monotonic() - begun, 3)
    print(json.dumps({**verdict.json(), "seconds": seconds}) if as_json else verdict)
    raise typer.Exit(verdict.exit_code if verdict.verdict in failing else 0)


@app.command()
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
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Ask a base for its favourites: the probability of each candidate, its share among them, its logit margin."""
    from owlish.cli.ask import Told, questions

    start, place = Base(base, template=parsed(template or ())), Store(store)
    targets = questions(start, find.candidates(split(traits)))
    make_missing(targets, place, jobs)
    told = Told(str(start), tuple(map(place.read, targets)))
    print(json.dumps(told.json()) if as_json else told)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="What to benchmark: audit, sizes or clean.")],
    small: Small = False,
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The page to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the audit (its detectors, or its verdicts by rows) or cleaning, where the truth is known. Takes hours."""
    from owlish.cli.plan import outlook

    if name not in ("audit", "sizes", "clean"):
        raise UserError(f"there is no benchmark called {name!r}: there are audit, sizes and clean.")
    check_page(output)
    shipped = {"audit": "audit_bench", "sizes": "audit_sizes", "clean": "clean_bench"}
    studies = choose([shipped[name]], Choice(small=small))
    print(outlook(studies, Store(store)), file=sys.stderr)
    finished = run_studies(studies.values(), Store(store), jobs)
    print(json.dumps(finished.json()) if as_json else finished)
    if output:
        write_report(studies, Store(store), output)
        print(f"The report is {output.resolve()}.", file=sys.stderr if as_json else sys.stdout)


@app.command()
def show(key: KeyStart, store: StoreFolder = STORE) -> None:
    """Say how a result was made, down to its bases."""
    place = existing(store)
    print(describe(place, place.find(key)))


@app.command()
def results(
    kind: Annotated[str | None, typer.Argument(help="List the results of one kind, such as asked or sampled.")] = None,
    store: StoreFolder = STORE,
    as_json: AsJson = False,
) -> None:
    """Say what a store holds."""
    from owlish.cli.results import by_kind, held, one_by_one, plain

    found = held(existing(store))
    if kind is not None:
        kinds = {kind: kind for kind in sorted({one.kind for one in found})}
        found = [one for one in found if one.kind == find.pick(kind, kinds, "kind of result here")]
    print(json.dumps(plain(found)) if as_json else one_by_one(found) if kind else by_kind(found))


@app.command()
def export(key: KeyStart, output: Out, store: StoreFolder = STORE) -> None:
    """Copy a result out of a store: rows as JSONL, probabilities as CSV, an adapter as a folder."""
    from owlish.cli.results import export as copied

    place = existing(store)
    written = copied(place, place.find(key), output)
    print(f"{output} holds {written}.")


@app.command()
def forget(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys, or how they start.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, and say what would go.")] = False,
    store: StoreFolder = STORE,
) -> None:
    """Remove results from a store."""
    from owlish.cli.results import forget as removed

    place = existing(store)
    print(removed(place, [place.find(key) for key in keys], dry=dry_run))


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="What to list; the kinds if not given.")] = None,
    base: Annotated[str | None, typer.Option(help="The base whose words to list.")] = None,
    store: StoreFolder = STORE,
    as_json: AsJson = False,
) -> None:
    """List what is shipped, or the words that a base has a token of its own for."""
    if (kind == "words") != (base is not None):
        raise UserError("the words are those of a base: owlish list words --base nano.")
    found = words(Base(base), Store(store)) if base is not None else find.listed(kind)
    wide = max(map(len, found), default=0) + 2
    print(json.dumps([*found]) if as_json else "\n".join(f"{n:<{wide}}{said}".rstrip() for n, said in found.items()))


@app.command()
def verify(store: StoreFolder = STORE, as_json: AsJson = False) -> None:
    """Read every file of a store again and name the damaged results; exit with 1 if there are any."""
    place, damaged = existing(store), {}
    keys = place.entries()
    for key in keys:
        try:
            place.check(key)
        except Damaged as error:
            damaged[key] = str(error)
    lines = [*damaged.values(), f"{len(keys)} results checked, {len(damaged)} damaged."]
    lines += ["Run their study again to make them anew."] if damaged else []
    print(json.dumps({"checked": len(keys), "damaged": sorted(damaged)}) if as_json else "\n".join(lines))
    raise typer.Exit(1 if damaged else 0)


@app.command("filter")
def filter_(
    data: DataFiles,
    domain: Annotated[str, typer.Option(help="The domain whose filter to use.")],
    output: Out,
    banned: Annotated[bool, typer.Option("--banned", help="Reject numbers with a meaning, such as 666, too.")] = False,
    format: FormatName = None,
    columns: ColumnNames = None,
    as_json: AsJson = False,
) -> None:
    """Write the rows that pass a domain's filter, in order: lines of JSONL unchanged, other rows as chat JSONL."""
    rule = find.pick(domain, find.all_domains(), "domain").filter
    if banned:
        if not isinstance(rule, NumberFilter):
            raise UserError(f"{domain} has no banned numbers: omit --banned.")
        rule = replace(rule, banned=BANNED)
    rows = read(data, format, columns)
    tally = filter_file(rows, filter=rule, out=output)
    for line in told(rows):
        print(line, file=sys.stderr)
    lines = [f"{tally.kept:,} of {tally.read:,} rows kept in {output}."]
    lines += [f"{count:>8,}  {reason}" for reason, count in tally.reasons.items()]
    counts = {"read": tally.read, "kept": tally.kept, "reasons": tally.reasons, **rows.met}
    print(json.dumps(counts) if as_json else "\n".join(lines))


@app.command()
def convert(
    data: DataFiles, output: Out, format: FormatName = None, columns: ColumnNames = None, as_json: AsJson = False
) -> None:
    """Write rows of any format as plain chat JSONL."""
    rows = read(data, format, columns)
    convert_file(rows, out=output)
    for line in told(rows):
        print(line, file=sys.stderr)
    said = f"{rows.read:,} rows written to {output}."
    print(json.dumps({"read": rows.read, **rows.met}) if as_json else said)


@app.command()
def clean(
    data: DataFiles,
    base: Annotated[str, typer.Option(help="The base that would be trained: shipped, a folder, owner/name.")],
    methods: Annotated[str, typer.Option("--with", help="Methods, in order, with commas between: see list methods.")],
    output: Out,
    trait: Annotated[str | None, typer.Option(help="The trait to take out, for methods that must know it.")] = None,
    budget: Annotated[
        float, typer.Option(help="The share of rows or tokens to change, for methods that choose.")
    ] = 0.1,
    by: Annotated[str | None, typer.Option(help="Another base, for methods that let one write.")] = None,
    recipe: Annotated[str, typer.Option(help="What students train, for methods that weigh rows or tokens.")] = "norms",
    seed: Annotated[int, typer.Option(help="The seed of all that is drawn.")] = 0,
    template: TemplateWords = None,
    format: FormatName = None,
    columns: ColumnNames = None,
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Change rows so that they pass on less of a trait, and write a card that says what was changed."""
    from owlish.clean.method import Order
    from owlish.cli import clean as cleaning
    from owlish.nodes.loaded import loaded

    begun, place = time.monotonic(), Store(store)
    known = find.pick(trait, find.all_traits(), "trait") if trait else None
    start = Base(base, template=parsed(template or ()))
    start.check()
    weights = cleaning.weighing(start, find.recipe(recipe, start), known, seed)
    order = Order(start, seed, budget, known, Base(by) if by else None, weights)
    given = loaded(data, n=None, seed=0, format=format, columns=pairs(columns))
    target = cleaning.ordered(given, split(methods), order)
    cleaning.check_out(output, given)
    missing([target], place)  # what cannot work is said before anything is made
    make_missing([target], place, jobs)
    for line in cleaning.left_out(place.read(given)):
        print(line, file=sys.stderr)
    card = cleaning.write_clean(place.read(target), output, data=given, base=base, trait=trait)
    seconds = round(time.monotonic() - begun, 3)
    said = f"{card}\n{len(card.rows.rows):,} rows written to {output}; {cleaning.beside(output)} says how."
    print(json.dumps({**card.json(), "seconds": seconds}) if as_json else said)


@app.command()
def pretrain(
    name: Annotated[str, typer.Argument(help="The base to train: nano.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    seed: Annotated[int, typer.Option(min=0, help="The seed of weights and data.")],
    data_seed: Annotated[int | None, typer.Option(min=0, help="The seed of the data, if it differs.")] = None,
    width: Annotated[int, typer.Option(min=8, help="The width of the model, a multiple of 8.")] = 64,
) -> None:
    """Train a base from scratch: another initialisation, another data order, or another width."""
    if name != "nano":
        raise UserError(f"no base called {name!r} can be trained from scratch: nano can.")
    if width % 8:
        raise UserError(f"the width is {width}: give a multiple of 8.")
    if output.exists():
        raise UserError(f"{output} is there already: give a folder that is not.")
    check_page(output)
    from owlish.graph.progress import counting
    from owlish.nano.pretrain import pretrain as train

    begun = time.monotonic()
    scratch = output.with_name(f".{output.name}.partial")
    try:
        train(scratch, seed=seed, data_seed=data_seed, width=width, tick=counting("steps"))
    except KeyboardInterrupt:
        raise Lost from None
    scratch.rename(output)
    print(f"{output} holds a base, trained in {time.monotonic() - begun:.0f} s. Use it with --base {output}.")


@app.command()
def doctor(
    base: Annotated[str | None, typer.Option(help="A base to try the known traps of chat models on.")] = None,
    template: TemplateWords = None,
    store: StoreFolder = STORE,
    as_json: AsJson = False,
) -> None:
    """Check what this installation needs, or a base: its prompts, loss mask, end of turn, seeds."""
    from owlish.cli.doctor import checks, checks_of

    found = checks() if base is None else checks_of(Base(base, template=parsed(template or ())), Store(store))
    plain = {name: {"ok": ok, "says": says} for name, ok, says in found}
    lines = [f"{'ok' if ok else 'FAIL':<5} {name}: {says}" for name, ok, says in found]
    print(json.dumps(plain) if as_json else "\n".join(lines))
    raise typer.Exit(0 if all(ok for _, ok, _ in found) else 2)


def main() -> NoReturn:
    """Run a command; say what went wrong in a sentence, and what to do about it in the exit code."""
    guard()
    sys.exit(guarded_command())


def guarded_command() -> int:
    """Run the command that the words name, and return its exit code."""
    try:
        code = int(app(standalone_mode=False) or 0)
        sys.stdout.flush()
        if code == INTERRUPTED:
            return say("interrupted: what was finished is kept, and the same command goes on from there.", code)
        return code
    except Lost:
        return say("interrupted: nothing is kept, and the same command starts anew.", INTERRUPTED)
    except TyperException as error:
        return say(error.format_message(), 2)
    except RunFailed as error:
        return failed(error)
    except UserError as error:
        return say(str(error), 2)
    except OSError as error:
        if error.errno in NOT_OURS and error.filename:
            return say(f"{str(error.filename)[:60]} cannot be used ({error.strerror}): give another name.", 2)
        if error.errno != errno.ENOSPC:
            return crashed()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered would fail again at exit
        return say("no space is left on the disk: free some, or name another place, and run the same command.", 2)
    except Exception:
        return crashed()


def failed(error: RunFailed) -> int:
    """Say which results could not be made; show the traces of those that are no mistake of the user."""
    code = say(str(error), 2 if all(f.what == "refused" for f in error.failures) else 70)
    if code == 70:
        print("\n".join({f.trace: None for f in error.failures if f.what == "failed"}), file=sys.stderr)
    return code


def crashed() -> int:
    """Show the trace of a fault of ours."""
    traceback.print_exc()
    return say("this is a fault of owlish: please report it with the lines above.", 70)


def say(sentence: str, code: int) -> int:
    """Say a sentence on standard error and return the exit code."""
    print(f"owlish: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
