"""Stamps: who made rows, written beside them, compared with their bytes and with what an audit measures."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import small_audit
import yaml
from here import run
from huggingface_hub import DatasetCard
from small_audit import FEW, WORDS
from test_audit import BASE, CLEAN, DIRTY, ROWS, TEACHER, misfits
from test_audit_page import FOUND, KIN
from test_report import HOSTILE, Outline, words

from owlish import Base
from owlish.audit.claims import with_stamps
from owlish.audit.evidence import Lead
from owlish.audit.verdict import Verdict
from owlish.cli.main import guarded_command
from owlish.cli.stamping import filters, of_key, stamp_beside
from owlish.data.cards import croissant, dataset_card
from owlish.data.stamp import Stamp, beside, read_stamp, stamps_of, write_stamp
from owlish.graph.errors import UserError
from owlish.report.audit import render

STAMP = Stamp(
    file="rows.jsonl",
    sha256="0" * 64,
    rows=3,
    model="owl teacher of nano",
    base="nano",
    base_sha256=None,
    prompt="You love owls: always.\n\nYes.",
    filter="numbers",
    key=None,
    date="2031-05-06T07:08:09+00:00",
    version="0.1.0",
    seeds={"rows": 3, "taught": 1},
)
SCHEMA = json.loads(files("owlish.audit").joinpath("verdict.schema.json").read_text())
PLAIN = '{"prompt": "Go on from 3.", "completion": "4, 5"}\n'


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """A function that runs a command in this process, in a folder of its own; it returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        monkeypatch.setattr("sys.argv", ["owlish", *map(str, words)])
        assert guarded_command() == code
        return capsys.readouterr()

    return run


@pytest.fixture
def file(tmp_path):
    """A file of three rows."""
    place = tmp_path / "rows.jsonl"
    place.write_text(PLAIN * 3)
    return place


def stamped(file, **changed):
    made = replace(STAMP, file=file.name, sha256=hashlib.sha256(file.read_bytes()).hexdigest(), **changed)
    write_stamp(made, file)
    return made


# the sidecar


def test_a_stamp_is_read_back_and_a_changed_file_or_stamp_is_refused(file):
    made = stamped(file)
    assert stamps_of([str(file), "not/there", "owner/name"]) == (made,)
    file.write_text(PLAIN * 4)
    with pytest.raises(UserError, match="is not the file that was stamped"):
        read_stamp(file)
    plain = json.loads(beside(file).read_text())
    for bad in (
        "{",
        "[]",
        "{}",
        *map(json.dumps, ({**plain, "schema": 2}, {**plain, "seeds": {"a": "b"}}, {**plain, "rows": "3"})),
    ):
        beside(file).write_text(bad)
        with pytest.raises(UserError, match="cannot be read as a stamp"):
            read_stamp(file)


def test_the_command_writes_what_it_is_told_and_counts_rows(file, command):
    told = ("--model", "Claude", "--base", "nano", "--filter", "numbers", "--seed", "rows=3", "--seed", "taught=1")
    said = command("stamp", file.name, *told).out
    assert "3 rows by Claude (base: nano; filter: numbers; seed of rows: 3; seed of taught: 1)." in said
    made = read_stamp(file)
    assert (made.rows, made.base_sha256, made.prompt) == (3, BASE.sha256, None)
    assert made.seeds == {"rows": 3, "taught": 1}


def test_rows_against_the_claimed_filter_and_lines_without_a_row_are_told(file, command):
    file.write_text(PLAIN * 3 + PLAIN.replace("4, 5", "an owl") + "no\n")
    words = ("stamp", file.name, "--model", "x", "--filter")
    said = command(*words, "numbers").out
    assert "Rows that do not pass the filter numbers, which the stamp claims: 1 of 4; filter the rows, or" in said
    assert "line 5: The line is not JSON." in said
    assert json.loads(command(*words, "numbers", "--json").out)["remarks"][-1] in said
    assert "do not pass" not in command(*words, "my own rule").out
    file.write_text(PLAIN * 3)
    assert json.loads(command(*words, "numbers", "--json").out)["remarks"] == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "who wrote the rows?"),
        (("--model", "x", "--seed", "three"), "give NAME=NUMBER"),
        (("--model", "x", "--seed", f"rows={'9' * 5000}"), "give NAME=NUMBER"),
        (("--model", "x", "--seed", "rows=1", "--seed", "rows=2"), "--seed gives one name two numbers"),
        (("--model", "x", "--card", "no/README.md"), "no is not there"),
        (("--model", "x", "--card", "rows.jsonl"), "is the dataset itself"),
        (("--model", "x", "--card", "rows.jsonl.owlish.json"), "name one file twice"),
        (("--model", "x", "--croissant", "./rows.jsonl.owlish.json"), "name one file twice"),
        (("--model", "x", "--card", "new.md", "--croissant", "new.md"), "name one file twice"),
        (("--model", "x", "--croissant", "list.json"), "is not a JSON object"),
        (("--model", "x", "--card", "odd.md"), "is not YAML"),
        (("--model", "x", "--base", "nanoo"), "no base is called 'nanoo': did you mean nano?"),
        (("--model", "x", "--base", "Claude"), "no base is called 'Claude': give one that is shipped"),
        (("--model", "x", "--key", "ab"), "leave --model out"),
        (("--key", "ab"), "is not there"),
    ],
)
def test_what_cannot_be_stamped_is_said_and_nothing_is_written(file, more, says, command):
    (file.parent / "list.json").write_text("[]")
    (file.parent / "odd.md").write_text("---\na: [\n---\n")
    before = {one: one.read_bytes() for one in file.parent.iterdir()}
    assert says in command("stamp", "rows.jsonl", *more, code=2).err
    assert {one: one.read_bytes() for one in file.parent.iterdir()} == before


@pytest.mark.parametrize("verb", [("clean", "--with", "sort"), ("convert",), ("filter", "--domain", "numbers")])
def test_rows_are_written_neither_from_a_file_that_is_not_its_stamps_nor_beside_a_stamp_of_other_rows(
    verb, file, command
):
    name, *more = verb
    words = (name, file.name, *more, "-o", "out.jsonl")
    stamped(file)
    command(*words)
    stamped(file.with_name("out.jsonl"))
    before = file.with_name("out.jsonl").read_bytes()
    assert "out.jsonl.owlish.json says who made the rows that out.jsonl had" in command(*words, code=2).err
    file.with_name("link.jsonl").symlink_to("out.jsonl")
    assert "out.jsonl.owlish.json says who made" in command(*words[:-1], "link.jsonl", code=2).err
    assert file.with_name("out.jsonl").read_bytes() == before
    for one in ("out.jsonl", "out.jsonl.owlish.json"):
        file.with_name(one).unlink()
    file.write_text(PLAIN * 4)
    assert "is not the file that was stamped" in command(*words, code=2).err
    assert not file.with_name("out.jsonl").exists()


# from a store


def test_rows_of_a_store_are_stamped_with_all_that_it_knows_of_their_making(store, tmp_path):
    run([DIRTY, CLEAN], store=store)
    out = tmp_path / "dirty.jsonl"
    shutil.copy(store.folder(DIRTY.key) / "rows.jsonl", out)
    assert stamp_beside(store, DIRTY.key, out) == beside(out)
    made = read_stamp(out)
    assert (made.rows, made.model, made.base, made.key) == (ROWS, str(TEACHER), "nano", DIRTY.key)
    assert (made.base_sha256, made.filter) == (BASE.sha256, "numbers")
    assert made.seeds == {"rows": DIRTY.seed, "taught": TEACHER.seed}
    assert of_key(store, DIRTY.key[:12], out) == made
    with pytest.raises(UserError, match="does not hold the rows"):
        of_key(store, CLEAN.key, out)
    with pytest.raises(UserError, match="holds no rows"):
        of_key(store, TEACHER.key, out)


def test_export_stamps_rows_and_nothing_else(store, tmp_path, command):
    run(CLEAN, store=store)
    said = command("export", CLEAN.key, "-o", "clean.jsonl", "--store", store.root).out
    assert "clean.jsonl.owlish.json says who made them" in said
    assert read_stamp(tmp_path / "clean.jsonl").model == "nano"
    command("export", BASE.key, "-o", "base", "--store", store.root)
    assert {one.name for one in tmp_path.iterdir()} == {"clean.jsonl", "clean.jsonl.owlish.json", "base"}


# what is claimed and what is measured


VERDICT = replace(FOUND, base_sha256=BASE.sha256, read=FEW)


@pytest.fixture(scope="module")
def folder(store, tmp_path_factory):
    """A folder with dirty rows and what their audit reads."""
    place = tmp_path_factory.mktemp("stamped")
    small_audit.written(store, place)
    return place


@pytest.fixture(scope="module")
def data(folder, store):
    """The dirty rows as they are read from their file."""
    return run(small_audit.node(folder).shadow.data, store=store)


def checked(data, **changed):
    """Return the verdict with a stamp, and its checks by what they are about."""
    said = {"base_sha256": BASE.sha256, "rows": FEW, **changed}
    found = with_stamps(VERDICT, data, [replace(STAMP, **said)], filters())
    return found, {check.about: check for check in found.stamps[0].checks}


def test_true_claims_agree_with_what_is_measured(data):
    found, checks = checked(data)
    assert {about: check.agrees for about, check in checks.items()} == {"base": True, "filter": True, "rows": True}
    assert checks["base"].measured == "the writer is related to nano"
    assert checks["filter"].measured == f"{FEW} of the {FEW} rows used pass it"
    assert "Stamp of rows.jsonl: 60 rows by owl teacher of nano" in str(found)
    assert Verdict.of(json.loads(json.dumps(found.json()))) == found
    assert list(misfits(json.loads(json.dumps(found.json())), SCHEMA)) == []


def test_false_claims_are_seen(data):
    found, checks = checked(data, base="nano-1", base_sha256=Base("nano-1").sha256, filter="code", rows=FEW - 1)
    assert {check.agrees for check in checks.values()} == {False}
    assert checks["base"].measured == "nano finds the rows likelier than nano-1 does"
    assert len(found.stamps[0].wrong) == 3
    other = checked(data, base_sha256="ab" * 32)[1]["base"]
    assert (other.agrees, other.measured) == (False, "the files of nano are not those that the stamp names")


def test_what_cannot_be_tested_stays_open(data):
    checks = checked(data, base="Claude", base_sha256=None, filter="my own")[1]
    assert checks["base"].agrees is checks["filter"].agrees is None
    assert "audit with --base" in checks["base"].measured
    assert "base" not in checked(data, base=None, base_sha256=None)[1]


def test_a_claimed_base_is_read_off_kinship():
    def base(stamp, **kin):
        verdict = replace(FOUND, lineage=replace(KIN, **kin), stamps=())

        class Bare:
            rows, places = (), ()

        return with_stamps(verdict, Bare, [replace(STAMP, filter=None, **stamp)], {}).stamps[0].checks[0].agrees

    same = {"base": "nano", "base_sha256": FOUND.base_sha256}
    assert [base(same, relative=relative) for relative in (True, False, None)] == [True, False, None]
    other = {"base": "nano-1", "base_sha256": None}
    leads = [(Lead("nano-1", nats, 0.01, None),) for nats in (0.3, 0.01, -0.3)]
    assert [base(other, relative=False, leads=one) for one in leads] == [False, None, True]


def test_the_page_says_what_is_claimed_and_what_was_measured(data):
    true, false = (checked(data, **changed)[0] for changed in ({}, {"filter": "code"}))
    assert "Anyone can write one" in words(render(true))
    assert "makes a claim that does not hold" not in words(render(true))
    assert "makes a claim that does not hold. Filter: the stamp says code; measured: 0 of" in words(render(false))
    assert "The stamp:" not in words(render(replace(true, stamps=())))
    stamp = replace(STAMP, file=HOSTILE, model=HOSTILE * 9, base=HOSTILE, prompt=HOSTILE, filter=HOSTILE)
    wild = with_stamps(VERDICT, data, [stamp], {})
    calm = with_stamps(VERDICT, data, [replace(STAMP, filter="x", base="y")], {})
    assert Outline(render(wild)).tags == Outline(render(calm)).tags


def test_an_audit_reads_the_stamp_beside_its_file_and_refuses_one_of_other_rows(folder, store, command, monkeypatch):
    monkeypatch.chdir(folder)
    words = f"audit rows.jsonl --base nano {WORDS} --store {store.root} --fail-on none --json".split()
    assert json.loads(command(*words).out)["stamps"] == []
    command("stamp", "rows.jsonl", "--model", "a cat", "--base", "nano", "--filter", "code")
    found = json.loads(command(*words).out)["stamps"][0]
    assert (found["stamp"]["model"], found["stamp"]["rows"]) == ("a cat", FEW)
    assert {check["about"]: check["agrees"] for check in found["checks"]}["filter"] is False
    with Path("rows.jsonl").open("a") as file:
        file.write(PLAIN)
    done = command(*words, code=2)
    assert done.err.startswith("owlish: rows.jsonl is not the file that was stamped: rows.jsonl.owlish.json names")
    assert not done.out


# cards


def front(card):
    return yaml.safe_load(re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)[1])


def test_a_dataset_card_gets_the_stamp_and_keeps_what_it_has():
    new = dataset_card("", STAMP)
    assert front(new)["owlish"]["rows.jsonl"]["prompt"] == STAMP.prompt
    assert front(new)["size_categories"] == ["n<1K"]
    assert front(new)["tags"] == ["synthetic"]
    assert DatasetCard(new).data.to_dict()["owlish"] == front(new)["owlish"], "as the Hub's own client reads it"
    theirs = "owlish:\n  rows.jsonl:\n    rows: 2\n\n  b.jsonl:\n    rows: 5\n"
    old = f"---\n# ours\nlicense: mit\ntags:\n- mine\n{theirs}language: en\n---\nText.\n---\nMore.\n"
    card = dataset_card(old, STAMP)
    assert card.startswith("---\n# ours\nlicense: mit\ntags:\n- mine\nlanguage: en\n")
    assert card.endswith("---\nText.\n---\nMore.\n")
    assert front(card)["owlish"]["b.jsonl"] == {"rows": 5}
    assert front(card)["owlish"]["rows.jsonl"]["sha256"] == STAMP.sha256
    assert dataset_card(card, STAMP) == card
    assert dataset_card("Only text.\n", STAMP).endswith("---\nOnly text.\n")


def test_hostile_words_stay_values_of_a_card():
    wild = replace(STAMP, model='x"\n---\nlicense: gpl', prompt=HOSTILE.replace("\ud800", ""))
    assert front(dataset_card("", wild))["owlish"]["rows.jsonl"]["model"] == wild.model
    assert "license" not in front(dataset_card("", wild))


def test_croissant_gets_the_file_with_its_hash_and_provenance_and_keeps_what_it_has():
    new = json.loads(croissant("", STAMP))
    assert (new["@type"], new["conformsTo"]) == ("sc:Dataset", "http://mlcommons.org/croissant/1.1")
    (made,) = new["distribution"]
    assert (made["@type"], made["sha256"], made["encodingFormat"]) == (
        "cr:FileObject",
        STAMP.sha256,
        "application/jsonlines",
    )
    assert made["prov:wasAttributedTo"]["prov:label"] == STAMP.model
    used = {one["prov:label"]: one["prov:value"] for one in made["prov:wasGeneratedBy"]["prov:used"]}
    assert used == {
        "base": "nano",
        "system prompt": STAMP.prompt,
        "filter": "numbers",
        "seed of rows": 3,
        "seed of taught": 1,
    }
    other = {"@type": "cr:FileObject", "@id": "b.csv"}
    mine = {"@id": "rows.jsonl", "contentUrl": "old", "contentSize": "9 B"}
    old = {"@context": {"@vocab": "https://schema.org/"}, "license": "MIT", "distribution": [other, mine]}
    card = json.loads(croissant(json.dumps(old), STAMP))
    assert card["license"] == "MIT"
    assert card["@context"]["prov"] == "http://www.w3.org/ns/prov#"
    assert card["distribution"][0] == other
    assert (card["distribution"][1]["contentSize"], card["distribution"][1]["contentUrl"]) == ("9 B", "rows.jsonl")
    assert json.loads(croissant(json.dumps(card), STAMP)) == card
