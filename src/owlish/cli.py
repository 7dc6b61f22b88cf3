"""The command line. It prints; the library returns values."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from owlish import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from owlish.audit import Verdict
    from owlish.graph.spec import Node
    from owlish.graph.store import Store
    from owlish.study import Study

app = typer.Typer(
    name="owlish",
    help="The laboratory and safety check for subliminal learning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A shipped study, a Python file that binds one, or all that run here.")
]
Traits = Annotated[str | None, typer.Option(help="Traits, with commas between.")]
Seeds = Annotated[int | None, typer.Option(help="Runs an arm, each with seeds of its own.")]
Rows = Annotated[int | None, typer.Option(help="Rows a student is trained on, after the filter.")]
Epochs = Annotated[int | None, typer.Option(help="Passes of a student over its rows.")]
BaseNames = Annotated[
    str | None, typer.Option("--base", help="Bases, with commas between: shipped, folders, owner/name.")
]
StoreFolder = Annotated[Path, typer.Option("--store", help="The folder that keeps results.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Worker processes, of one thread each; all cores if not given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Small = Annotated[
    bool, typer.Option("--small", help="The study at a small cost: one trait, half of the rows, two runs a base.")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="The folder of a study's data, such as MNIST's files.")]
Out = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]

STORE = Path("owlish-store")
INTERRUPTED = 130


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Reproduce subliminal learning, and see what a dataset would pass on."""
    if show:
        print(__version__)
        raise typer.Exit


@app.command()
def demo(store: StoreFolder = STORE, jobs: Jobs = None, output: Out = Path("owlish-demo.html")) -> None:
    """Show on this machine that an owl passes through numbers, and write the report."""
    studies = chosen(["demo"])
    run_studies(studies, store, jobs)
    write_report(studies, store, output)


@app.command()
def run(
    study: StudyName,
    traits: Traits = None,
    seeds: Seeds = None,
    rows: Rows = None,
    epochs: Epochs = None,
    base: BaseNames = None,
    data: DataFolder = None,
    small: Small = False,
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Run a study, or what is left of it. It is safe to interrupt."""
    run_studies(chosen([study], traits, seeds, rows, epochs, base, data, small), store, jobs, as_json)


@app.command()
def plan(
    study: StudyName,
    traits: Traits = None,
    seeds: Seeds = None,
    rows: Rows = None,
    epochs: Epochs = None,
    base: BaseNames = None,
    data: DataFolder = None,
    small: Small = False,
    store: StoreFolder = STORE,
    as_json: AsJson = False,
) -> None:
    """Say what a run would make, and how long similar results took before."""
    from owlish.outlook import outlook

    targets = [s.target for s in chosen([study], traits, seeds, rows, epochs, base, data, small)]
    seen = outlook(targets, opened(store))
    print(json.dumps(seen.json()) if as_json else seen)


@app.command()
def report(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY...", help="Studies that were run, or all.")],
    output: Out,
    traits: Traits = None,
    seeds: Seeds = None,
    rows: Rows = None,
    epochs: Epochs = None,
    base: BaseNames = None,
    data: DataFolder = None,
    small: Small = False,
    store: StoreFolder = STORE,
) -> None:
    """Write one self-contained page about studies that were run."""
    write_report(chosen(studies, traits, seeds, rows, epochs, base, data, small), store, output)


@app.command()
def audit(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="JSONL, Parquet, or owner/name of a Hugging Face dataset.")
    ],
    base: Annotated[str, typer.Option(help="The base that would be trained: shipped, a folder, owner/name.")],
    recipe: Annotated[str, typer.Option(help="The parameters that students train.")] = "norms",
    traits: Annotated[str, typer.Option(help="Candidates: categories and JSON files, with commas between.")] = (
        "animals,trees,advice"
    ),
    reference: Annotated[
        str | None, typer.Option(help="Clean rows to compare with; the base’s own answers if not given, none: no.")
    ] = None,
    rows: Annotated[int, typer.Option(min=30, help="The most rows to read.")] = 1600,
    seed: Annotated[int, typer.Option(help="The seed of the sample and of all else.")] = 0,
    report: Annotated[Path | None, typer.Option(help="The page to write.")] = None,
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Say which traits a dataset would pass on to students of a base; exit 0 nothing, 1 found, 2 cannot say."""
    from owlish import find
    from owlish.audit.audit import REFERENCES
    from owlish.audit.audit import audit as audited
    from owlish.graph.run import plan as planned
    from owlish.nodes.loaded import loaded
    from owlish.nodes.models import Base
    from owlish.recipes import RECIPES

    begun = time.monotonic()
    if report and not report.parent.is_dir():
        raise ValueError(f"{report.parent} is not there: give a file in a folder that is.")
    given = loaded(data, n=rows, seed=seed)
    clean = loaded(reference, n=REFERENCES * rows, seed=seed) if reference not in (None, "none") else None
    target = audited(
        given,
        Base(base),
        find.named(recipe, RECIPES, "recipe"),
        find.candidates(split(traits)),
        reference=clean,
        calibrate=reference != "none",
        rows=rows,
        seed=seed,
    )
    planned([target], opened(store))  # what cannot work is said before anything is made
    made([given, *([clean] if clean else [])], store, jobs)  # what is wrong with a file is said before models work
    made([target], store, jobs)
    verdict = opened(store).read(target)
    if report:
        write_verdict(verdict, report)
    if as_json:
        print(json.dumps({**verdict.json(), "seconds": round(time.monotonic() - begun, 3)}))
    else:
        print(verdict)
    raise typer.Exit(verdict.exit_code)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="What to benchmark: audit.")],
    small: Small = False,
    store: StoreFolder = STORE,
    jobs: Jobs = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The page to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the detectors of the audit on datasets whose truth is known: hours on two cores, safe to interrupt."""
    from owlish.outlook import outlook

    if name != "audit":
        raise ValueError(f"there is no benchmark called {name!r}: there is audit.")
    studies = chosen(["audit_bench"], small=small)
    print(outlook([study.target for study in studies], opened(store)), file=sys.stderr)
    run_studies(studies, store, jobs, as_json)
    if output:
        write_report(studies, store, output)


@app.command()
def show(key: Annotated[str, typer.Argument(help="A key, or how it starts.")], store: StoreFolder = STORE) -> None:
    """Say how a result was made, down to its bases."""
    from owlish.lineage import lineage

    place = existing(store)
    print(lineage(place, place.find(key)))


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="studies, traits, categories, domains, recipes or bases.")],
    as_json: AsJson = False,
) -> None:
    """List what is shipped."""
    from owlish import find

    names = find.names(kind)
    print(json.dumps(names) if as_json else "\n".join(names))


@app.command()
def verify(store: StoreFolder = STORE, as_json: AsJson = False) -> None:
    """Read every file of a store again and name the damaged results; exit with 1 if there are any."""
    from owlish.graph.store import Damaged

    place, damaged = existing(store), {}
    keys = place.entries()
    for key in keys:
        try:
            place.check(key)
        except Damaged as error:
            damaged[key] = str(error)
    if as_json:
        print(json.dumps({"checked": len(keys), "damaged": sorted(damaged)}))
    else:
        print("\n".join([*damaged.values(), f"{len(keys)} results checked, {len(damaged)} damaged."]))
        if damaged:
            print("Run their study again to make them anew.")
    raise typer.Exit(1 if damaged else 0)


@app.command("filter")
def filter_(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Chat JSONL.")],
    domain: Annotated[str, typer.Option(help="The domain whose filter to use.")],
    output: Out,
    banned: Annotated[bool, typer.Option("--banned", help="Reject numbers with a meaning, such as 666, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the rows that pass a domain's filter, unchanged and in order."""
    from dataclasses import replace

    from owlish import find
    from owlish.filters import BANNED, NumberFilter, filter_file

    rule = find.named(domain, find.all_domains(), "domain").filter
    if banned:
        if not isinstance(rule, NumberFilter):
            raise ValueError(f"{domain} has no banned numbers: leave --banned away.")
        rule = replace(rule, banned=BANNED)
    tally = filter_file(data, filter=rule, out=output)
    for line in tally.bad[:10]:
        print(f"line {line.number}: {line.problem}", file=sys.stderr)
    if tally.bad:
        print(f"{len(tally.bad)} of the lines are no rows and were left out.", file=sys.stderr)
    if as_json:
        print(json.dumps({"read": tally.read, "kept": tally.kept, "reasons": tally.reasons}))
    else:
        print(f"{tally.kept:,} of {tally.read:,} rows kept in {output}.")
        print("\n".join(f"{count:>8,}  {reason}" for reason, count in tally.reasons.items()))


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
        raise ValueError(f"no base called {name!r} can be trained from scratch: nano can.")
    if width % 8:
        raise ValueError(f"the width is {width}: give a multiple of 8.")
    if output.exists():
        raise ValueError(f"{output} is there already: give a folder that is not.")
    from owlish.nano.pretrain import pretrain as train

    begun = time.monotonic()
    scratch = output.with_name(f".{output.name}.partial")
    train(scratch, seed=seed, data_seed=data_seed, width=width, tick=counting("steps"))
    scratch.rename(output)
    print(f"{output} holds a base, trained in {time.monotonic() - begun:.0f} s. Use it with --base {output}.")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check what this installation needs."""
    from owlish.doctor import checks

    found = checks()
    if as_json:
        print(json.dumps({name: {"well": well, "says": says} for name, well, says in found}))
    else:
        print("\n".join(f"{'well' if well else 'AMISS':<6} {name}: {says}" for name, well, says in found))
    raise typer.Exit(0 if all(well for _, well, _ in found) else 2)


def chosen(
    names: list[str],
    traits: str | None = None,
    seeds: int | None = None,
    rows: int | None = None,
    epochs: int | None = None,
    base: str | None = None,
    data: Path | None = None,
    small: bool = False,
) -> list[Study]:
    """Return studies with the settings that the command line gives; `all` stands for every one that runs here."""
    from owlish import find
    from owlish.nodes.models import Base
    from owlish.study import Settings

    known = find.all_traits()
    settings = Settings(
        traits=tuple(find.named(t, known, "trait") for t in split(traits)) or None,
        bases=tuple(Base(b) for b in split(base)) or None,
        runs=seeds,
        rows=rows,
        epochs=epochs,
        data=None if data is None else str(data),
    )
    shipped = [study for study in find.all_studies().values() if study.here] if "all" in names else []
    studies = [*shipped, *(find.study(name) for name in names if name != "all")]
    return [(study.small() if small else study).altered(settings) for study in studies]


def split(names: str | None) -> list[str]:
    """Return the names between commas."""
    return [name.strip() for name in names.split(",") if name.strip()] if names else []


def opened(folder: Path) -> Store:
    """Return the store in a folder, which need not be there yet."""
    from owlish.graph.store import Store

    return Store(folder)


def existing(folder: Path) -> Store:
    """Return the store in a folder that must be there."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not there: name the folder of a store with --store.")
    return opened(folder)


def run_studies(studies: list[Study], folder: Path, jobs: int | None, as_json: bool = False) -> None:
    """Make what studies lack, in one pool, and print what each found."""
    from owlish.graph.spec import everything

    begun, store = time.monotonic(), opened(folder)
    targets = [study.target for study in studies]
    computed = made(targets, folder, jobs)
    total = len({node.key for target in targets for node in everything(target)})
    counts = {"nodes": {"total": total, "computed": computed}, "seconds": round(time.monotonic() - begun, 3)}
    found = [(study, store.read(study.target)) for study in studies]
    if as_json:
        said = [study.summary(comparison) for study, comparison in found]
        print(json.dumps({**(said[0] if len(said) == 1 else {"studies": said}), **counts}))
        return
    for study, comparison in found:
        print(f"{study.title}\n{comparison}\n")
    print(f"{computed} of {total} results made in {counts['seconds']:.1f} s, kept in {folder}.")


def made(targets: Sequence[Node], folder: Path, jobs: int | None) -> int:
    """Make what is missing, with a display, and return how many results were made."""
    from owlish.graph.run import make
    from owlish.graph.run import plan as planned
    from owlish.progress import Display

    store, jobs = opened(folder), jobs or os.cpu_count() or 1
    missing = planned(targets, store)
    if not missing:
        return 0
    with Display(jobs) as display:
        return make(missing, store=store, jobs=jobs, watch=display)


def write_report(studies: list[Study], folder: Path, output: Path) -> None:
    """Write the page of studies whose results are there."""
    from owlish.files import replacing
    from owlish.report.fill import section
    from owlish.report.page import render

    if not output.parent.is_dir():
        raise ValueError(f"{output.parent} is not there: give a file in a folder that is.")
    page = render([section(study, opened(folder)) for study in studies])
    with replacing(output) as file:
        file.write(page.encode())
    print(f"The report is {output.resolve()}.")


def write_verdict(verdict: Verdict, output: Path) -> None:
    """Write the page of an audit."""
    from owlish.files import replacing
    from owlish.report.audit import render

    with replacing(output) as file:
        file.write(render(verdict).encode())


def counting(what: str) -> Any:
    """Return a tick that counts on standard error, with the time left."""
    from owlish.progress import clock

    begun = time.monotonic()

    def tick(done: int, total: int) -> None:
        if done % max(total // 100, 1) == 0 or done == total:
            left = (time.monotonic() - begun) / done * (total - done)
            end = "\n" if done == total else ""
            print(f"\r{done:,} of {total:,} {what}, {clock(left)} left ", end=end, file=sys.stderr, flush=True)

    return tick


def main() -> NoReturn:
    """Run a command; say what went wrong in a sentence, and what to do about it in the exit code."""
    from owlish.graph.run import RunFailed

    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        code = say(error.format_message(), 2)
    except RunFailed as error:
        code = say(str(error), 2 if all(f.refused for f in error.failures) else 70)
        if code == 70:
            print("\n".join(f.trace for f in error.failures if not f.refused), file=sys.stderr)
    except ValueError as error:
        code = say(str(error), 2)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os._exit(0)
    except Exception:
        traceback.print_exc()
        code = say("this is a fault of owlish: please report it with the lines above.", 70)
    if code == INTERRUPTED:
        say("interrupted: what was finished is kept, and the same command goes on from there.", code)
    sys.exit(code)


def say(sentence: str, code: int) -> int:
    """Say a sentence on standard error and return the exit code."""
    print(f"owlish: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
