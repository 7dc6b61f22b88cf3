"""A stamp as a command line asks for it: from words, or from the store that made the rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from owlish.cli import find
from owlish.cli.made import plain_label
from owlish.cli.rows import describe_reading
from owlish.cli.running import check_file, write_file
from owlish.data.cards import LACKING, croissant, dataset_card
from owlish.data.filters import Filter
from owlish.data.hub import is_hosted
from owlish.data.reading import Reading
from owlish.data.stamp import Stamp, beside, write_stamp
from owlish.graph.errors import UserError, nearest
from owlish.graph.store import Damaged, Store, sha256
from owlish.graph.tabled import on_one_line

LONGEST_SEED = 20
"""The most digits of a seed."""


def filters() -> dict[str, Filter]:
    """Return the filters that a stamp can name, each under the name of its domain."""
    return {name: domain.filter for name, domain in find.all_domains().items()}


def one_file(file: str) -> Path:
    """Return the file of rows that is to be stamped."""
    path = Path(file)
    if file == "-" or is_hosted(file) or path.is_dir():
        raise UserError(f"{file} is no file: a stamp lies beside a file of rows.")
    if not path.is_file():
        raise UserError(f"{file} is not there: give a file of rows.")
    return path


def of_words(
    reading: Reading, *, model: str, base: str | None, prompt: str | None, filter: str | None, seeds: dict[str, int]
) -> tuple[Stamp, int]:
    """Return the stamp of a file of rows by what its maker says, and how many rows do not pass the filter.

    The rows are counted as they are read; a filter that is a rule of the user's own cannot be tried.
    """
    check_filter(filter)
    rule = filters().get(filter or "")
    start = None if base is None else find.base(base)
    file = Path(reading.files[0])
    digest = sha256(file)
    failing = sum(bool(rule and rule.against(row)) for row in reading.rows())
    # Rows were counted in between: a stamp must speak of one state of the file.
    if sha256(file) != digest:
        raise UserError(f"{file} changed while it was read: stamp it when it is whole.")
    made = Stamp(
        file=file.name,
        sha256=digest,
        rows=reading.read,
        model=model,
        base=None if start is None else str(start),  # where a folder lies is nobody's affair
        base_sha256=None if start is None else start.sha256,
        prompt=prompt,
        filter=filter,
        key=None,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("owlish"),
        seeds=seeds,
    )
    return made, failing


def remarks(reading: Reading, filter: str | None, failing: int) -> list[str]:
    """Return what is to be known of a stamp before it is passed on: lines without a row, and rows against its claim."""
    said = describe_reading(reading) if reading.bad else []
    if failing:
        against = f"Rows that do not pass the filter {filter}, which the stamp claims: {failing:,} of {reading.read:,}"
        said.append(f"{against}; filter the rows, or stamp them without it.")
    return said


def check_filter(name: str | None) -> None:
    """Refuse a name that is nearly that of a domain; others are rules of the user's own."""
    known = filters()
    if name is not None and name not in known and (near := nearest(name, known, alike=0.75)):
        raise UserError(f"no domain is called {name!r}: did you mean {near}?")


def seeds_of(words: list[str]) -> dict[str, int]:
    """Return seeds as a command line gives them: NAME=NUMBER."""
    pairs = [(name.strip(), number.strip()) for name, _, number in (word.partition("=") for word in words)]
    # Python makes no integer of more than 4,300 digits.
    if not all(name and number.isdecimal() and len(number) <= LONGEST_SEED for name, number in pairs):
        raise UserError(f"{' '.join(words)[:60]!r} names no seeds: give NAME=NUMBER, such as --seed rows=3.")
    seeds = {name: int(number) for name, number in pairs}
    if len(seeds) < len(pairs):
        raise UserError("--seed gives one name two numbers: give each seed a name of its own.")
    return seeds


def find_stamp(store: Store, key: str, file: Path) -> Stamp | None:
    """Return the stamp of rows that a store made, for a file that holds them; `None` where it does not know all.

    It knows all of rows that a model of one base was asked for, as long as it holds that model down to its base.
    `UserError` is raised where the key holds no rows, or the file holds others.
    """
    manifest = store.check(key)
    if "rows.jsonl" not in manifest["files"]:
        raise UserError(f"{key[:12]} holds no rows: give a key that `owlish results sampled` lists.")
    # The key says who made those bytes, and nothing of any others.
    if sha256(file) != manifest["files"]["rows.jsonl"]:
        raise UserError(f"{file} does not hold the rows of {key[:12]}: give the file that `owlish export` wrote.")
    spec = manifest["spec"]
    models = models_of(store, spec["model"]["node"]) if spec["kind"] == "sampled" else []
    if not models:
        return None
    prompts = [model["spec"]["system_prompt"] for model in models if model["spec"]["kind"] == "prompted"]
    domain = spec["domain"]["kind"]
    return Stamp(
        file=file.name,
        sha256=manifest["files"]["rows.jsonl"],
        rows=file.read_bytes().count(b"\n"),  # every row is one line in the form that a store writes
        # Labels may hold folders of this machine, and a stamp is passed on with the rows.
        model=plain_label(models[0]["label"]),
        base=models[-1]["label"],
        base_sha256=digest_of_base(store, models[-1]),
        prompt=prompts[0] if prompts else None,
        filter=domain if domain in filters() else None,
        key=key,
        date=manifest["begun"],
        version=manifest["versions"]["owlish"],
        seeds={"rows": spec["seed"], **seeds_in(models)},
    )


def of_key(store: Store, start: str, file: Path) -> Stamp:
    """Return the stamp of rows whose key starts so; `UserError` is raised where the store does not know all."""
    key = store.find(start)
    stamp = find_stamp(store, key, file)
    if stamp is None:
        raise UserError(f"{store} does not hold all that made {key[:12]}: say who wrote the rows with --model.")
    return stamp


def stamp_beside(store: Store, key: str, file: Path) -> Path | None:
    """Stamp rows that were copied out of a store, where it knows all of their making; return where the stamp lies."""
    if "rows.jsonl" not in store.manifest(key)["files"] or (stamp := find_stamp(store, key, file)) is None:
        return None
    write_stamp(stamp, file)
    return beside(file)


def models_of(store: Store, key: str) -> list[dict[str, Any]]:
    """Return the manifests of a model and of those that it was made from, down to its base; none if one is lost."""
    chain: list[dict[str, Any]] = []
    try:
        while not chain or "model" in chain[-1]["spec"]:
            chain.append(store.manifest(chain[-1]["spec"]["model"]["node"] if chain else key))
    except Damaged:
        return []
    # A chain that does not end at a base was cut short: then nothing is claimed of its start.
    return chain if chain[-1]["spec"]["kind"] in ("base", "pretrained") else []


def digest_of_base(store: Store, base: dict[str, Any]) -> str | None:
    """Return the SHA-256 that names a base, as a verdict has it, where its entry knows its files."""
    if base["spec"].get("name") == "gguf":
        return str(base["spec"]["content"])
    file = store.folder(base["key"]) / "base.json"
    files = json.loads(file.read_text()) if file.is_file() else {}
    return hashlib.sha256(json.dumps(files).encode()).hexdigest() if files else None


def seeds_in(models: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return the seeds by which models were trained, each under the kind of its model."""
    found: dict[str, int] = {}
    for model in models[:-1]:
        kind, seed = model["spec"]["kind"], model["spec"].get("seed")
        if isinstance(seed, int):
            found[kind if kind not in found else f"{kind} {len(found) + 1}"] = seed
    return found


def check_targets(file: Path, card: Path | None, description: Path | None) -> None:
    """Refuse places that cannot be written to, before anything is."""
    places = list(filter(None, (beside(file), card, description)))
    for place in places:
        check_file(place, [str(file)])
    # Links are followed, as they are when files are written: the later text would take the place of the earlier.
    if len({place.resolve() for place in places}) < len(places):
        raise UserError("the stamp, --card and --croissant name one file twice: give each a file of its own.")


def write_all(stamp: Stamp, file: Path, card: Path | None, description: Path | None) -> list[str]:
    """Write a stamp, and its fields into a dataset card and a Croissant file; say what was written."""
    texts = {card: dataset_card, description: croissant}
    # All texts are made before anything is written: a card that is no YAML stops it while nothing has changed.
    made = {place: put(text_of(place), stamp) for place, put in texts.items() if place is not None}
    replaces = beside(file).is_file()
    write_stamp(stamp, file)
    for place, text in made.items():
        write_file(text, place)
    lines = [f"{stamp}.", f"Written: {', '.join(map(on_one_line, (beside(file), *made)))}."]
    lines += ["It replaces the stamp that was there."] if replaces else []
    lacking = [name for name in LACKING if description and name not in json.loads(made[description])]
    if lacking:
        lines.append(
            f"{on_one_line(description)} lacks what Croissant requires and only you know: {', '.join(lacking)}."
        )
    return lines


def text_of(place: Path) -> str:
    """Return the text of a file, or the empty text where there is none."""
    try:
        return place.read_text(encoding="utf-8") if place.exists() else ""
    except UnicodeDecodeError:
        raise UserError(f"{place} is not UTF-8: give another file.") from None
