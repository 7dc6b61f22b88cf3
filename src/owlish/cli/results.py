"""What a store holds: a table by kind, results taken out of it, and results that are no longer wanted."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish import nano
from owlish.cli.running import check_parent, write_file
from owlish.engines.address import address_of
from owlish.engines.server import Server
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.store import MANIFEST, Damaged, Store
from owlish.nodes.held import CHANGES

MB, GGUF = 1e6, ".gguf"
SERVED = ("base", "engine", "scorer")
"""Kinds whose entries may hold what a server honours."""
FILES = (".jsonl", ".json", ".csv", ".parquet", ".safetensors", ".gz", ".zip")
"""Endings that no folder has."""


@dataclass(frozen=True)
class Held:
    """One result of a store: what it is, when and in how many seconds it was made, its size in bytes."""

    key: str
    kind: str
    caption: str
    begun: str
    seconds: float
    size: int
    inputs: tuple[str, ...]


def list_results(store: Store) -> list[Held]:
    """Return every result whose manifest can be read, in the order in which they were begun."""
    found = []
    for key in store.entries():
        try:
            manifest = store.manifest(key)
        except Damaged:
            continue  # `owlish verify` names them
        size = store.size(key)
        kind, inputs = manifest["spec"]["kind"], tuple(manifest["inputs"])
        found.append(Held(key, kind, manifest["label"], manifest["begun"], manifest["seconds"], size, inputs))
    return sorted(found, key=lambda one: (one.begun, one.key))  # the key decides between two that began in one instant


def by_kind(results: Sequence[Held]) -> str:
    """Return a line for each kind: how many, how large, how long they took."""
    lines = [f"{'kind':<18}{'results':>8}{'MB':>9}{'minutes':>9}"]
    for kind in sorted({one.kind for one in results}):
        some = [one for one in results if one.kind == kind]
        size, minutes = sum(one.size for one in some) / MB, sum(one.seconds for one in some) / 60
        lines.append(f"{kind:<18}{len(some):>8}{size:>9.1f}{minutes:>9.1f}")
    whole = sum(one.size for one in results) / MB
    return "\n".join(
        [*lines, f"{counted(len(results), 'result')}, {whole:.1f} MB. `owlish results KIND` lists those of a kind."]
    )


def one_by_one(results: Sequence[Held]) -> str:
    """Return a line for each result."""
    return "\n".join(f"{one.key[:12]}  {one.begun[:16].replace('T', ' ')}  {one.caption}" for one in results)


def export(store: Store, key: str, out: Path) -> str:
    """Copy a result out of a store, after checking it; return what was written.

    Rows become chat JSONL, or where the name has no ending a folder with a dataset card; a trained model a folder with
    a model card, or where the name ends in .gguf its LoRA adapter for llama.cpp; answers a CSV table of probabilities
    [questions, candidates], or a log of Inspect where the name ends in .eval; and anything else a folder of its files
    without the manifest. A file that is there is replaced, a folder is not.
    """
    from owlish.cli import hub
    from owlish.cli.evallog import write_log

    manifest = store.check(key)
    files, probe = manifest["files"], manifest["spec"].get("probe", {})
    asked = "answers.json" in files and "candidates" in probe  # a judge's answers have that name too, and none
    check_ending(out, rows="rows.jsonl" in files, asked=asked)
    check_parent(out)
    folder = store.folder(key)
    if out.suffix == ".eval":
        write_log(store, key, out)
        return "a log that `inspect view` opens"
    if out.suffix == GGUF:
        write_file(adapter(store, key), out)
        return "a LoRA adapter for `llama-server --model BASE.gguf --lora FILE`"
    if "rows.jsonl" in files and out.suffix:
        write_file((folder / "rows.jsonl").read_bytes(), out)
        return "rows as chat JSONL"
    if asked:
        write_file(table(probe, json.loads((folder / "answers.json").read_text())).encode(), out)
        return "probabilities as CSV"
    with hub.appearing(out) as scratch:
        if "rows.jsonl" in files:
            hub.save_rows(store, key, scratch)
            return "rows.jsonl and a dataset card, for `hf upload NAME FOLDER --repo-type dataset`"
        if not files.keys().isdisjoint(CHANGES):
            hub.save_model(store, key, scratch)
            return "a trained model and its card, for `hf upload NAME FOLDER`"
        shutil.copytree(folder, scratch, ignore=shutil.ignore_patterns(MANIFEST))
        return f"a folder of {', '.join(files)}"


def adapter(store: Store, key: str) -> bytes:
    """Return the LoRA adapter of a trained model as a GGUF file."""
    from owlish.cli.stamping import models_of
    from owlish.lm.gguf_adapter import write_adapter
    from owlish.lm.model import Weights
    from owlish.nodes.held import held_model

    chain = models_of(store, key)
    # Where a folder of the user's lies is not known, and a name of Hugging Face is no folder.
    base = held_model(store, chain[1]["key"]) if len(chain) == 2 and in_store(chain[1]) else None
    if not isinstance(base, Weights):
        raise UserError(
            "only what was trained straight from a GGUF file or a shipped base becomes an adapter for llama.cpp: "
            "name a folder without an ending."
        )
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"adapter{GGUF}"
        write_adapter(store.folder(key), Path(base.name), file)
        return file.read_bytes()


def in_store(base: dict[str, Any]) -> bool:
    """Say whether the files of a base lie in the store, or in the package."""
    return base["spec"]["kind"] == "pretrained" or base["spec"]["name"] in ("gguf", *nano.SHIPPED)


def check_ending(out: Path, *, rows: bool, asked: bool) -> None:
    """Raise `UserError` where the ending of a name is that of another format than that of rows, answers or a folder."""
    if out.suffix in ("", ".eval") or (out.suffix == GGUF and not rows and not asked):
        return
    if rows and out.suffix != ".jsonl":
        raise UserError(f"{out} has an ending of another format: name a .jsonl file, or a folder without an ending.")
    if asked and out.suffix != ".csv":
        raise UserError(f"{out} has an ending of another format: name a .csv file, or .eval for a log of Inspect.")
    if not rows and not asked and out.suffix in FILES:
        raise UserError(f"{out} has the ending of a file, and this result is a folder: give a name without one.")


def table(probe: dict[str, Any], answers: dict[str, Any]) -> str:
    """Return the probability of each candidate as the answer to each question, as CSV."""
    from owlish.report.saved import csv_of

    questions = zip([*probe["questions"], *probe["held_out"]], answers["p"], strict=True)
    return csv_of([{"question": asked, **dict(zip(probe["candidates"], p, strict=True))} for asked, p in questions])


def forget(store: Store, keys: Sequence[str], *, dry: bool) -> str:
    """Remove results, or with `dry` only say which; name the results that were made from them and stay."""
    keys = list(dict.fromkeys(keys))
    results = {one.key: one for one in list_results(store)}
    freed = sum(results[key].size for key in keys if key in results) / MB
    # They stay, with results that took long: a run makes their inputs again where it needs them.
    made_from = [one for one in results.values() if one.key not in keys and set(one.inputs) & set(keys)]
    servers = servers_of(store, [key for key in keys if key in results])
    for server in () if dry else servers:
        # Before the entry goes: after a kill between the two, answers are asked for once more, and none is mixed.
        server.drop_answers()
    for key in () if dry else keys:
        store.drop(key)
    done, unused = ("would be removed", "would be unused") if dry else ("removed", "unused from now on")
    lines = [f"{key[:12]}  {results[key].caption if key in results else 'damaged'}" for key in keys]
    lines.append(f"{counted(len(keys), 'result')} {done}, {freed:.1f} MB.")
    for server in servers:
        lines.append(
            f"Answers of {server.address} that are kept for runs: {unused}. A run asks anew, and pays anew where that "
            "costs."
        )
    if made_from:
        first = ", ".join(one.key[:12] for one in made_from[:3])
        lines.append(
            f"Made from them: {counted(len(made_from), 'result')}, kept ({first}). A run makes what it needs again."
        )
    if made_from and servers:
        lines.append("If the server holds another model by now, forget what was made from the old one too.")
    return "\n".join(lines)


def servers_of(store: Store, keys: Sequence[str]) -> list[Server]:
    """Return the servers of which entries hold what they honour."""
    specs = [store.manifest(key)["spec"] for key in keys]
    names = [spec["name" if spec["kind"] == "base" else "server"] for spec in specs if spec["kind"] in SERVED]
    return [Server(address, store.root) for address in map(address_of, names) if address]
