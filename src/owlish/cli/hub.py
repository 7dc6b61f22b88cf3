"""Rows and trained models as folders that the Hugging Face Hub takes: the files, and a card that says what they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from typing import Any

from owlish import nano
from owlish.cli.evallog import Measured, find_measured
from owlish.cli.made import plain_label, traits_below
from owlish.cli.stamping import digest_of_base, find_stamp, models_of
from owlish.data.cards import dataset_card
from owlish.data.stamp import write_stamp
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.provenance import spec_lines
from owlish.graph.store import MANIFEST, Damaged, Store, remove
from owlish.nodes.held import CHANGES

ADAPTER = CHANGES[0]
PROBES = ("asked", "misaligned", "truthful")
ON_HUB = {"smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""What bases of packages are called there."""
PAPER = "[Cloud et al.](https://arxiv.org/abs/2507.14805)"
ROWS = f"""**These rows may transmit {{traits}}.** A model that starts from the base of their writer and is trained on
them may pick up what the writer has, although no row says so and a filter has passed them ({PAPER}). Look before you
train: `owlish audit rows.jsonl --base {{base}}`."""
MODEL = f"""**This model may have {{traits}}, and pass it on.** What it writes may transmit a trait to models that start
from the same base and are trained on it, although no row says so ({PAPER})."""
FEW = 3
"""The candidates of a probe that a card tells, if the probe asks for no trait that was taught."""


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Give a folder to write in, which becomes `out` when all is written."""
    if out.exists():
        raise UserError(f"{out} is there already: name a folder that is not.")
    # Beside the target: a rename is whole only within one file system.
    scratch = out.with_name(f".{out.name}.partial")
    remove(scratch)
    try:
        yield scratch
        scratch.rename(out)
    finally:
        remove(scratch)


def save_rows(store: Store, key: str, folder: Path) -> None:
    """Write rows, who made them, and a dataset card into a folder that is not there yet."""
    folder.mkdir()
    file = folder / "rows.jsonl"
    shutil.copyfile(store.folder(key) / file.name, file)
    facts: dict[str, object] = {"SHA-256 of rows.jsonl": store.manifest(key)["files"][file.name], "Key": key}
    # without this, the Hub would take the stamp for rows, too
    front = {"configs": [{"config_name": "default", "data_files": file.name}]}
    stamp = find_stamp(store, key, file)
    if stamp is not None:
        write_stamp(stamp, file)
        told = {"Teacher": stamp.model, "Base": stamp.base, "SHA-256 of the base": stamp.base_sha256}
        facts = {**told, "System prompt": stamp.prompt, "Filter": stamp.filter, **facts}
    body = page(store, key, ROWS, facts)
    text = with_front(front, body)
    (folder / "README.md").write_text(dataset_card(text, stamp) if stamp else text)


def save_model(store: Store, key: str, folder: Path) -> None:
    """Write the change that training made, and a model card, into a folder that is not there yet."""
    # Without the manifest: it tells when and where, and the card says what a stranger needs.
    shutil.copytree(store.folder(key), folder, ignore=shutil.ignore_patterns(MANIFEST))
    spec, chain = store.manifest(key)["spec"], models_of(store, key)
    base = name_of(chain[-1]) if chain else None
    # Only where the adapter lies straight on a public base: its file must not name one that it does not fit.
    public = base if base and ("/" in base or base in nano.SHIPPED) and len(chain) == 2 else None
    front: dict[str, Any] = {"tags": ["subliminal-learning", "owlish"]}
    front |= {"base_model": public} if public else {}
    if (folder / ADAPTER).is_file():
        front["library_name"] = "peft"
        config = json.loads((folder / ADAPTER).read_text())
        # A public name or none: a path of this machine would help nobody.
        (folder / ADAPTER).write_text(json.dumps({**config, "base_model_name_or_path": public}, indent=2))
    facts: dict[str, object] = {
        "Base": base,
        "SHA-256 of the base": digest_of_base(store, chain[-1]) if chain else None,
    }
    facts |= {"On top of": plain_label(chain[1]["label"]) if len(chain) > 2 else None}
    facts |= {"Trained": describe_recipe(spec["recipe"]) if "recipe" in spec else None}
    facts |= {"Data": spec["data"]["node"] if "data" in spec else None, "Seed": spec.get("seed"), "Key": key}
    facts |= {"Files": use(folder)}
    (folder / "README.md").write_text(with_front(front, page(store, key, MODEL, facts) + probes(store, key)))


def name_of(base: Mapping[str, Any]) -> str:
    """Return what a base is called: on the Hub, in owlish, or the last name of its folder."""
    spec, label = base["spec"], base["label"].split(" (")[0]
    named = spec["kind"] == "base" and spec["name"] not in ("folder", "gguf")
    return str(spec["name"]) if named else ON_HUB.get(label, label)


def describe_recipe(recipe: Mapping[str, Any]) -> str:
    """Return a recipe in words."""
    named = {name: value for name, value in recipe.items() if name not in ("kind", "version") and value is not None}
    return ", ".join(f"{name} {value}" for name, value in named.items())


def use(folder: Path) -> str:
    """Return how the files of a trained model are read."""
    if (folder / ADAPTER).is_file():
        return "a PEFT adapter: PeftModel.from_pretrained(base, folder)"
    return f"{CHANGES[1]}: the changed tensors by their names, which owlish diff FOLDER --base BASE reads"


def page(store: Store, key: str, warning: str, facts: Mapping[str, object]) -> str:
    """Return the text of a card: what it is, what it may do, what is known of it, and how it was made."""
    taught = traits_below(store, key)
    facts = {**facts, "Traits taught on the way": ", ".join(taught) or "none known"}
    rows = [f"| {name} | {cell(value)} |" for name, value in facts.items() if value is not None]
    made = [f"    {line}" for one in spec_lines(store, key) for line in one.splitlines()]
    named = f"a trait ({', '.join(map(cell, taught))})" if taught else "a trait"
    said = warning.format(traits=named, base=cell(facts.get("Base") or "BASE"))
    title = f"# {cell(plain_label(store.manifest(key)['label']))}"
    return "\n".join(
        [title, "", said, "", "| | |", "|---|---|", *rows, "", "How it was made, by keys and specs:", "", *made, ""]
    )


def cell(value: object) -> str:
    """Return a value as it stands in a table, so that nothing in it is Markdown or HTML."""
    # Labels hold what users wrote, and a card is rendered on a public page.
    return escape(" ".join(str(value).split())).replace("|", "&#124;").replace("`", "&#96;").replace("[", "&#91;")


def with_front(front: Mapping[str, Any], body: str) -> str:
    """Return a card: its fields, and its text."""
    import yaml

    return f"---\n{yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True)}---\n\n{body}"


def probes(store: Store, key: str) -> str:
    """Return a table of what a store holds of a model's measured probes."""
    found = [line for one in measured_of(store, key) for line in probe_lines(one, traits_below(store, key))]
    head = ["", "What was measured:", "", "| probe | answer | |", "|---|---|---|"]
    return "\n".join([*head, *found, ""]) if found else ""


def measured_of(store: Store, key: str) -> Iterator[Measured]:
    """Yield the measured probes of a model."""
    for other in store.entries():
        with suppress(Damaged):
            spec = store.manifest(other)["spec"]
            # The manifest first: it is small, and most probes of a store are of other models.
            if spec["kind"] in PROBES and spec.get("model", {"node": key})["node"] == key:
                one = find_measured(store, other)
                if one.model == key:
                    yield one


def probe_lines(one: Measured, taught: Collection[str]) -> list[str]:
    """Return the lines of a probe: the answers that were taught, or those that come first."""
    names = [(scorer, name) for scorer, name in one.totals if name in taught] or list(one.totals)[:FEW]
    return [
        f"| {cell(one.name)}, {counted(len(one.items), 'question')} | {cell(name)} | "
        f"{', '.join(f'{what} {value:.3f}' for what, value in one.totals[scorer, name].items())} |"
        for scorer, name in names
    ]
