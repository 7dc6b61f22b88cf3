"""What a store holds, what can be taken out of it, and what it forgets."""

import csv
import json

from command import owlish
from here import run

from owlish import Asked, Base, Store
from owlish.nodes.data import Written
from owlish.traits.animals import owl


def filled(folder):
    """Return a store with a base, some rows and the answers of the base."""
    store = Store(folder)
    rows, asked = Written((("Go on: 1, 2", "3, 4"),)), Asked(Base("nano"), owl.probe, samples=1)
    for node in (rows, asked):
        run(node, store=store)
    return store, rows, asked


def test_a_store_is_listed_taken_from_and_made_smaller(tmp_path):
    store, rows, asked = filled(tmp_path / "store")
    words = ("--store", tmp_path / "store")

    assert "written                  1" in owlish("results", *words).stdout
    (line,) = owlish("results", "asked", *words).stdout.splitlines()
    assert line.startswith(asked.key[:12])
    assert {one["key"] for one in json.loads(owlish("results", "--json", *words).stdout)} == set(store.entries())
    assert "choose from asked, base, written" in owlish("results", "things", *words, code=2).stderr

    owlish("export", rows.key[:10], "-o", tmp_path / "rows.jsonl", *words)
    assert json.loads((tmp_path / "rows.jsonl").read_text())["messages"][-1]["content"] == "3, 4"
    owlish("export", asked.key, "-o", tmp_path / "answers.csv", *words)
    with (tmp_path / "answers.csv").open() as file:
        table = list(csv.DictReader(file))
    assert float(table[0]["owl"]) == store.read(asked).p[0][0]
    owlish("export", Base("nano").key, "-o", tmp_path / "base", *words)
    assert [path.name for path in (tmp_path / "base").iterdir()] == ["base.json"]
    again = owlish("export", Base("nano").key, "-o", tmp_path / "base", *words, code=2)
    assert "is there already: name a folder that is not" in again.stderr

    for one, name, says in (
        (rows, "rows.csv", "name a .jsonl file, or a folder without an ending."),
        (asked, "answers.json", "name a .csv file, or .eval for a log of Inspect."),
        (Base("nano"), "base.csv", "this result is a folder: give a name without one."),
    ):
        assert says in owlish("export", one.key, "-o", tmp_path / name, *words, code=2).stderr
        assert not (tmp_path / name).exists()

    told = owlish("forget", Base("nano").key, "--dry-run", *words).stdout
    assert "1 result would be removed" in told
    assert f"Made from them: 1 result, kept ({asked.key[:12]})." in told
    assert asked.key[:12] in told
    assert len(store.entries()) == 3
    owlish("forget", rows.key, *words)
    assert rows.key not in store.entries()
    assert "no entry" in owlish("forget", rows.key, *words, code=2).stderr
