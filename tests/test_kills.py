"""`kill -9` at any moment, and a disk that is full: the same command goes on, and ends with the same bytes.

The commands run in `dying.py`. Those that read models are long: a panel and readings of a student, and then whole
audits, a diff with controls, and every moment at which a file of the user's is written.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from here import run
from safetensors.numpy import save_file

from owlish import Store
from owlish.data.rows import Row, write_rows
from owlish.graph.files import FULL
from owlish.lm.adapt import STEERING
from owlish.nodes.loaded import loaded

DYING = str(Path(__file__).with_name("dying.py"))
GIVEN = "--traits mine.json --store store --json"
AUDIT = f"audit rows.jsonl --base nano --reference clean.jsonl --rows 30 {GIVEN}"
DIFF = f"diff student0 --base nano --contexts none {GIVEN} --report diff.html"
CLEAN = "clean rows.jsonl --base nano --store store --json -o out.jsonl"
FAST = {
    "audit": f"{AUDIT} --minutes 0.2 --report page.html",
    "clean": f"{CLEAN} --with shuffle,dedupe",
    "diff": f"{DIFF} --null none",
}
LONG = {
    "audit": f"{AUDIT} --scores scores.jsonl --report page --report gate.sarif",
    "clean": f"{CLEAN} --with mix,shuffle",
    "diff": f"{DIFF} --control student1 --control student2 --control student3",
}
NAMES = [pytest.param(name, marks=() if name == "clean" else pytest.mark.slow) for name in FAST]
OTHERS = {
    "convert": "convert rows.jsonl -o out.jsonl --json",
    "filter": "filter rows.jsonl --domain numbers -o out.jsonl --json",
    "stamp": "stamp rows.jsonl --model nano --prompt PROMPT --json",
    "export": "export KEY --store made -o out",
}
TIMES = re.compile(rb"\d{4}-\d\d-\d\d|\d\d:\d\d(:\d\d(\.\d+)?)?|\d+\.\d minutes|, what was left(?=: )|what was left: ")
"""What tells of time, beside a field of seconds: dates, how long something was foretold to take, and of what part."""
SMALL = 1_000
"""The bytes of a file that leave no room for any result."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of what the commands read: few short rows, clean ones, candidates, students, and a store."""
    folder, rng = tmp_path_factory.mktemp("given") / "given", np.random.default_rng(0)
    folder.mkdir()
    for name, count in (("rows", 30), ("clean", 180)):
        lists = [", ".join(map(str, numbers)) for numbers in rng.integers(0, 100, (count, 3))]
        write_rows(folder / f"{name}.jsonl", [Row.of("Go on.", one) for one in lists])
    (folder / "mine.json").write_text('{"category": "animal", "candidates": {"cat": "cats", "owl": "owls"}}')
    for number in range(4):
        (folder / f"student{number}").mkdir()
        moved = rng.normal(0, 0.01, 64).astype("float32")
        save_file({STEERING: moved}, folder / f"student{number}" / "parameters.safetensors")
    run(held(folder), store=folder / "made")
    return folder


def held(folder):
    """Return rows that a store holds."""
    return loaded(folder / "rows.jsonl", n=None, seed=0)


@pytest.fixture(scope="module")
def dying():
    """A function that runs a command in a folder, and says how it ended: `None` where it was killed."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, DYING], **pipes) as process:

        def attempt(folder, words, **how):
            named = words.replace("KEY", held(folder).key).replace("PROMPT", "x" * SMALL).split()
            process.stdin.write(json.dumps({"folder": str(folder), "words": named, **how}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield attempt


@dataclass(frozen=True)
class Made:
    """What a folder of the user's holds: results by key with the digests of their files, and files by name."""

    results: dict[str, dict[str, str]]
    files: dict[str, bytes]
    left: list[str]


@dataclass(frozen=True)
class Whole:
    """A command that nothing came in between: how it ended, what it said, what it made, and where."""

    folder: Path
    code: int
    events: int
    said: object
    made: Made


@pytest.fixture(scope="module")
def whole(given, dying, tmp_path_factory):
    """A function that runs a command to its end, once for all tests."""
    known = {}

    def ran(words):
        if words not in known:
            folder = tmp_path_factory.mktemp("whole") / "whole"
            shutil.copytree(given, folder)
            ended = dying(folder, words)
            found = known[words] = Whole(folder, ended["code"], ended["events"], said(folder), made(folder, given))
            assert found.made.files
            assert not found.made.left
        return known[words]

    return ran


def made(folder, given):
    """Return what a command made in a folder that was a copy of `given`."""
    store, old = Store(folder / "store"), {path.name for path in given.iterdir()} | {"store"}
    paths = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in old]
    files = {str(path.relative_to(folder)): TIMES.sub(b"", path.read_bytes()) for path in paths}
    left = [path.name for name in (".partial", ".locks") for path in (store.root / name).glob("*")]
    left += [name for name in files if name.endswith((".tmp", ".partial"))]
    return Made({key: store.check(key)["files"] for key in store.entries()}, files, left)


def remove_written(folder, given):
    """Remove the files that a command wrote, so that it writes them anew from the results in its store."""
    for path in set(folder.iterdir()) - {folder / one.name for one in (*given.iterdir(), Path("store"))}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def said(folder):
    """Return what a command printed, without what tells of time."""
    text = TIMES.sub(b"", (folder.parent / f"{folder.name}.out").read_bytes()).decode()
    return {**json.loads(text), "seconds": None} if "{" in text else text


def sentence(place):
    """Return the one sentence that a command said, beside how far it was."""
    lines = (place / "cut.err").read_text().splitlines()
    # Two results that fail at once have a line each.
    assert all(re.match(r"owlish: |\d+ of \d+ results", line) or FULL in line for line in lines)
    (said,) = [line for line in lines if line.startswith("owlish")]
    return said


def places(folder):
    """Return where the results of a store lie on the disk: another number says that one was made again."""
    return {path.parent.name: path.stat().st_ino for path in folder.glob("store/??/*/manifest.json")}


def check_part(folder, given, wanted, kept):
    """Check that what a command left is whole or absent, and that it made no finished result again; return the rest."""
    found = made(folder, given)
    assert found.results.items() <= wanted.results.items()
    for name in found.files.keys() - set(found.left):
        assert found.files[name] == wanted.files[name]
    assert kept.items() <= places(folder).items()
    return found.left


def check_kills(words, given, dying, whole, tmp_path, kills, last):
    """Kill a command so often while it works, and then before each of the last changes of files that it writes."""
    done, cut = whole(words), tmp_path / "cut"
    shutil.copytree(given, cut)
    kept, moments = {}, iter(range(done.events // (kills + 1), done.events))
    while (found := dying(cut, words, moment=next(moments))) is None:
        check_part(cut, given, done.made, kept)
        kept = places(cut)
    assert len(kept) > len(done.made.results) / 2, "it was killed early only"
    assert (found["code"], said(cut), made(cut, given)) == (done.code, done.said, done.made)

    remove_written(cut, given)
    events = dying(cut, words)["events"]
    remove_written(cut, given)
    for moment in range(events + 1 - min(last, events), events + 1):
        assert dying(cut, words, moment=moment) is None
        check_part(cut, given, done.made, kept)
    assert dying(cut, words)["code"] == done.code
    assert (said(cut), made(cut, given)) == (done.said, done.made)


@pytest.mark.parametrize("name", NAMES)
def test_killed_commands_go_on_and_end_with_the_same_bytes(name, given, dying, whole, tmp_path):
    check_kills(FAST[name], given, dying, whole, tmp_path, kills=3, last=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_many_kills_of_whole_commands(name, given, dying, whole, tmp_path):
    check_kills(LONG[name], given, dying, whole, tmp_path, kills=12, last=100)


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_a_disk_without_room_is_told_in_a_sentence_and_leaves_nothing_half_written(name, given, dying, whole, tmp_path):
    words, cut = {**FAST, **OTHERS}[name], tmp_path / "cut"
    done = whole(words)
    shutil.copytree(given, cut)
    largest = max((done.folder / name).stat().st_size for name in done.made.files)
    for room in (SMALL, largest - 1):
        found = dying(cut, words, largest=room)
        assert (found["code"], said(cut)) == (2, "")
        assert FULL in sentence(tmp_path)
        assert not check_part(cut, given, done.made, {})
    assert dying(cut, words)["code"] == done.code
    assert (said(cut), made(cut, given)) == (done.said, done.made)


@pytest.mark.parametrize(
    ("name", "place", "size"),
    [pytest.param("audit", "store", 1 << 16, marks=pytest.mark.slow), ("convert", "out", 4096)],
)
def test_a_disk_that_is_full_is_told_in_a_sentence(name, place, size, given, dying, tmp_path):
    words, cut = {**FAST, **OTHERS}[name].replace("-o out.jsonl", "-o out/out.jsonl"), tmp_path / "cut"
    shutil.copytree(given, cut)
    (cut / "rows.jsonl").write_bytes((cut / "rows.jsonl").read_bytes() * 3)
    found = dying(cut, words, disk=(place, size))
    if not found["mounted"]:
        pytest.skip("this system lets nobody but root mount a disk")
    assert found["code"] == 2
    assert FULL in sentence(tmp_path)
    assert not [name for name in found["files"] if name.startswith((".partial", ".owlish"))]
