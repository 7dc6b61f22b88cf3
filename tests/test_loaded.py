"""Rows that others wrote: files of every shape, a sample of millions, what is bad in them, and Hugging Face."""

import json
import os
import re
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from here import run

from owlish import Store
from owlish.data.reading import FIX
from owlish.data.rows import Row, line_of
from owlish.graph.errors import UserError
from owlish.nodes.loaded import Loaded, draw_rows, loaded

SHARED = Path(__file__).parents[2] / "shared" / "data" / "teacher_outputs"


def line(**entry):
    return json.dumps(entry).encode() + b"\n"


def good(index):
    return line(prompt=f"Q{index}", completion=f"{index}, 2")


def read(source, folder, *, n=None, seed=0):
    node = loaded(str(source), n=n, seed=seed)
    node.check()
    result = folder / "result"
    result.mkdir(exist_ok=True)
    node.compute(result, lambda node: None, lambda done, total: None)
    return node.load(result, lambda node: None)


def read_bytes(content, tmp_path, **how):
    (tmp_path / "data.jsonl").write_bytes(content)
    return read(tmp_path / "data.jsonl", tmp_path, **how)


def parquet(table, file):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table(table), file, row_group_size=100)
    return file


def refused(source, folder, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        read(source, folder)


CHAT = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
SYSTEM = {"role": "system", "content": "S"}
BATCH = {"body": {"choices": [{"message": {"content": "A"}}]}}
NEEDS = (
    "a row needs messages, instruction + output, chosen + rejected, prompt + completion, prompt + response, "
    "question + answer, conversations, custom_id + response or text."
)
KINDS = "a file of rows, a folder of save_to_disk, or the owner/name of a dataset on Hugging Face"


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (line(messages=CHAT), (Row.of("Q", "A"),)),
        (line(messages=[SYSTEM, *CHAT]), (Row.of("Q", "A", "S"),)),
        (line(prompt="Q", response="A", tokens=[]), (Row.of("Q", "A"),)),
        (line(custom_id="1", response=BATCH), (Row.of("", "A"),)),
        (b"\xef\xbb\xbf" + good(1) + good(2), (Row.of("Q1", "1, 2"), Row.of("Q2", "2, 2"))),
        (good(1).replace(b"\n", b"\r\n") + good(2).rstrip(), (Row.of("Q1", "1, 2"), Row.of("Q2", "2, 2"))),
        (line(prompt="", completion=" "), (Row.of("", " "),)),
        (
            line(prompt="\0\x1b[1m\u202e", completion="1\u2066\r\n\x7f<b>"),
            (Row.of("\0\x1b[1m\u202e", "1\u2066\r\n\x7f<b>"),),
        ),
    ],
)
def test_every_shape_is_read_as_it_stands(tmp_path, content, rows):
    data = read_bytes(content, tmp_path)
    assert (data.rows, data.read, data.passed, data.bad, data.problems) == (rows, len(rows), len(rows), 0, ())


def test_a_sample_is_in_order_and_made_by_its_seed(tmp_path):
    content = b"".join(good(index) for index in range(1000))
    data = read_bytes(content, tmp_path, n=50)
    numbers = [int(row.prompt[1:]) for row in data.rows]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 50
    assert data.read == 1000
    first = (tmp_path / "result" / "rows.jsonl").read_bytes()
    assert read_bytes(content, tmp_path, n=50) == data
    assert (tmp_path / "result" / "rows.jsonl").read_bytes() == first
    assert read_bytes(content, tmp_path, n=50, seed=1).rows != data.rows
    assert len(read_bytes(content, tmp_path, n=1000).rows) == len(read_bytes(content, tmp_path, n=2000).rows) == 1000


def test_every_row_of_a_sample_knows_its_file_and_line(tmp_path):
    for name in ("a", "b"):
        content = b"no\n\n" + b"".join(good(index) for index in range(50))
        (tmp_path / f"{name}.jsonl").write_bytes(content.replace(b"Q", name.encode()))
    data = run(loaded(str(tmp_path / "?.jsonl"), n=20, seed=0), store=Store(tmp_path / "store"))
    assert len(data.places) == 20
    for row, place in zip(data.rows, data.places, strict=True):
        line = (tmp_path / place.file).read_bytes().splitlines()[place.number - 1]
        assert json.loads(line)["prompt"] == row.prompt
    assert str(data.places[-1]).startswith("b.jsonl line ")


def test_no_folder_of_this_machine_is_kept_or_shown(tmp_path, monkeypatch):
    """Two files of one name, elsewhere and below the working folder: each goes by a name of its own."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rows.jsonl").write_bytes(b"no\n" + b"".join(good(index) for index in range(5)))
    pattern = str(tmp_path / "*" / "rows.jsonl")
    store = Store(tmp_path / "store")
    node = loaded(pattern, n=None, seed=0)
    data = run(node, store=store)
    assert str(node) == "rows of rows.jsonl (1), rows.jsonl (2)"
    assert {place.file for place in data.places} == {"rows.jsonl (1)", "rows.jsonl (2)"}
    kept = [path.read_text() for path in (tmp_path / "store").rglob("*.json*")]
    assert not any(str(tmp_path) in text for text in kept)
    assert "rows.jsonl (1) line 1" in kept[0] + "".join(kept)
    monkeypatch.chdir(tmp_path)
    assert str(loaded(pattern, n=None, seed=0)) == "rows of one/rows.jsonl, two/rows.jsonl"


def test_each_row_is_as_likely_as_any_other():
    rows = [Row.of("", str(index)) for index in range(20)]
    met = Counter(row for seed in range(4000) for row in draw_rows(iter(rows), n=5, seed=seed))
    expected = 4000 * 5 / 20
    spread = (expected * (1 - 5 / 20)) ** 0.5
    assert all(abs(met[row] - expected) < 4 * spread for row in rows)


def test_the_key_is_of_the_content_and_not_of_the_place(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(good(1))
    (tmp_path / "b.jsonl").write_bytes(good(1))
    (tmp_path / "c.jsonl").write_bytes(good(2))
    a, b, c = (loaded(str(tmp_path / name), n=9, seed=0) for name in ("a.jsonl", "b.jsonl", "c.jsonl"))
    others = [loaded(a.source, n=8, seed=0), loaded(a.source, n=None, seed=0), loaded(a.source, n=9, seed=1), c]
    assert a.key == b.key
    assert len({a.key, *(other.key for other in others)}) == 5


def test_golden_keys():
    """These keys name results in users' stores: a change here loses them, and needs a reason."""
    assert Loaded("rows.jsonl", "ab" * 32, n=1600, seed=0).key == "4310ca36b9eef88f78f8a7fcb957870b"
    assert Loaded("x", "some/owls@" + "c" * 40, n=None, seed=3).key == "8dba30875f6b0387c590fc44dc6b58ae"


def test_it_is_a_node_like_any_other(tmp_path):
    (tmp_path / "data.jsonl").write_bytes(good(1) + b"no\n" + good(2))
    store = Store(tmp_path / "store")
    data = run(loaded(str(tmp_path / "data.jsonl"), n=5, seed=0), store=store)
    (tmp_path / "data.jsonl").rename(tmp_path / "moved.jsonl")
    assert run(loaded(str(tmp_path / "moved.jsonl"), n=5, seed=0), store=store) == data
    assert (data.rows, data.bad) == ((Row.of("Q1", "1, 2"), Row.of("Q2", "2, 2")), 1)


def test_results_from_before_bad_lines_were_counted_still_load(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(line_of(Row.of("Q", "A")))
    (tmp_path / "counts.json").write_text('{"read": 2, "passed": 1, "reasons": {"malformed": 1}}')
    data = Loaded("", "", n=1, seed=0).load(tmp_path, lambda node: None)
    assert (data.read, data.bad, data.problems, data.places) == (2, 0, (), ())


def test_bad_lines_are_counted_and_the_first_ten_told(tmp_path):
    bad = [b"\n", b"\xff\n", b"[1]\n", line(prompt="Q"), line(prompt="Q", completion=""), line(messages=CHAT[:1])]
    data = read_bytes(b"".join(good(index) + bad[index % 6] for index in range(60)), tmp_path, n=7)
    assert (len(data.rows), data.read, data.bad) == (7, 60, 60)
    assert data.problems[:6] == (
        "line 2: The line is empty.",
        "line 4: The line is not UTF-8: save the file as UTF-8.",
        "line 6: The line is not a JSON object.",
        f"line 8: The line has prompt; {NEEDS}",
        "line 10: The completion is empty.",
        "line 12: The messages hold no turn of the assistant to train on.",
    )
    assert len(data.problems) == 10


def test_a_file_of_another_kind_is_refused_with_line_numbers(tmp_path):
    file = tmp_path / "data.jsonl"
    file.write_bytes(line(note="a") * 3)
    why = f"line 1: The line has note; {NEEDS}"
    refused(file, tmp_path, f"{file} holds no row. {why} (Also bad: line 2, line 3.) {FIX}")
    file.write_bytes(b"a,b\n" * 1234)
    where = ", ".join(f"line {number}" for number in range(2, 11))
    why = "line 1: The line is not JSON."
    refused(file, tmp_path, f"{file} holds no row. {why} (Also bad: {where} and 1,224 more.) {FIX}")


def test_what_is_no_file_of_rows_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    refused(
        tmp_path / "empty.jsonl",
        tmp_path,
        f"{tmp_path / 'empty.jsonl'} is empty: give a dataset with at least one row.",
    )
    refused("no/rows.jsonl", tmp_path, f"no/rows.jsonl cannot be read (No such file or directory): give {KINDS}.")
    refused(tmp_path, tmp_path, f"{tmp_path} is a folder without rows: give {KINDS}.")
    refused(os.devnull, tmp_path, "pipe null is empty: give a dataset with at least one row.")
    refused("x" * 5000, tmp_path, f"{'x' * 5000} cannot be read (File name too long): give {KINDS}.")
    (tmp_path / "data.jsonl").write_bytes(good(1))
    with pytest.raises(ValueError, match="n is 0: ask for at least one row"):
        read(tmp_path / "data.jsonl", tmp_path, n=0)


def test_a_line_of_fifty_megabytes_is_a_bad_line_and_never_in_memory(tmp_path):
    with (tmp_path / "data.jsonl").open("wb") as stream:
        stream.write(good(1) + good(2) + b'{"prompt": "Q", "completion": "')
        stream.writelines(b"1, " * 250_000 for _ in range(67))
        stream.write(b'2"}\n' + good(4))
    tracemalloc.start()
    data = read(tmp_path / "data.jsonl", tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert [row.prompt for row in data.rows] == ["Q1", "Q2", "Q4"]
    assert (data.bad, data.problems) == (1, ("line 3: The line is longer than 4 MB.",))


@pytest.mark.parametrize("spare", [0, 1])
def test_the_longest_line_is_four_megabytes(tmp_path, spare):
    row = line(prompt="", completion="x" * (4_000_000 + spare - len(line(prompt="", completion=""))))
    data = read_bytes(good(1) + row + row.rstrip() + b" ", tmp_path)
    assert (data.read, data.bad) == (3 - 2 * spare, 2 * spare)


def test_a_file_that_changes_is_refused(tmp_path):
    file = tmp_path / "data.jsonl"
    file.write_bytes(good(1))
    node = loaded(str(file), n=1, seed=0)
    file.write_bytes(good(2))
    with pytest.raises(ValueError, match="changed while it was read: ask again when it is whole"):
        node.compute(tmp_path, lambda node: None, lambda done, total: None)
    file.unlink()
    with pytest.raises(ValueError, match=r"cannot be read \(No such file or directory\)"):
        node.compute(tmp_path, lambda node: None, lambda done, total: None)
    assert not list(tmp_path.iterdir())


def test_parquet_holds_the_same_rows(tmp_path):
    (tmp_path / "data.jsonl").write_bytes(b"".join(good(index) for index in range(1000)))
    table = {
        "prompt": [f"Q{i}" for i in range(1000)],
        "id": list(range(1000)),
        "completion": [f"{i}, 2" for i in range(1000)],
    }
    file = parquet(table, tmp_path / "rows")
    rows, lines = (read(one, tmp_path, n=30) for one in (file, tmp_path / "data.jsonl"))
    assert rows == replace(lines, ignored={"id": 1000}, places=rows.places)
    assert [place.number for place in rows.places] == [place.number for place in lines.places]
    assert (str(rows.places[0]), str(lines.places[0])) == ("row 5", "line 5")
    assert read(parquet({"messages": [CHAT, [SYSTEM, *CHAT]]}, file), tmp_path).rows == (
        Row.of("Q", "A"),
        Row.of("Q", "A", "S"),
    )
    assert read(parquet({"response": ["A"], "prompt": [""]}, file), tmp_path).rows == (Row.of("", "A"),)


def test_bad_rows_of_parquet_are_told(tmp_path):
    pa = pytest.importorskip("pyarrow")
    answers = [b"1", None, b"", b"\xff", b"x" * 4_000_001, b"7\0\xe2\x80\xae"]
    ends = [0, *(sum(len(answer or b"") for answer in answers[: index + 1]) for index in range(len(answers)))]
    offsets = pa.array(ends, pa.int32()).buffers()[1]
    buffers = [pa.py_buffer(bytes([0b111101])), offsets, pa.py_buffer(b"".join(answer or b"" for answer in answers))]
    text = pa.Array.from_buffers(pa.string(), len(answers), buffers)
    data = read(parquet({"prompt": ["Q"] * len(answers), "completion": text}, tmp_path / "a.parquet"), tmp_path)
    assert data.rows == (Row.of("Q", "1"), Row.of("Q", "7\0\u202e"))
    assert data.problems == (
        f"row 2: The row has prompt; {NEEDS}",
        "row 3: The completion is empty.",
        "row 4: The row is not UTF-8: save the file as UTF-8.",
        "row 5: The row is longer than 4 MB.",
    )


def test_parquet_without_rows_is_refused(tmp_path, monkeypatch):
    file = parquet({"note": ["a", "b"]}, tmp_path / "a.parquet")
    refused(file, tmp_path, f"{file} holds no row. row 1: The row has note; {NEEDS} (Also bad: row 2.) {FIX}")
    refused(parquet({"prompt": []}, file), tmp_path, f"{file} is empty: give a dataset with at least one row.")
    whole = parquet({"prompt": ["Q"] * 99, "completion": ["A"] * 99}, file).read_bytes()
    for damaged in (whole[:-5], b"PAR1", whole[:4] + bytes(20) + whole[24:]):
        file.write_bytes(damaged)
        refused(file, tmp_path, f"{file} is not a whole Parquet file: get it anew.")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(file, tmp_path, f"{file} is Parquet: install owlish[datasets] to read it.")


REVISION = "a" * 40
OWLS = b"".join(line(prompt=f"Q{index}", completion="" if index == 3 else f"{index}") for index in range(50))


class Hub(BaseHTTPRequestHandler):
    """As much of Hugging Face as one dataset of one file needs."""

    def do_GET(self):
        path = self.path.partition("?")[0]
        code = 200
        if path.startswith("/api/datasets/some/owls/tree/"):
            body = json.dumps([{"type": "file", "path": "train.jsonl", "size": len(OWLS), "oid": "b" * 40}]).encode()
        elif path in ("/api/datasets/some/owls", f"/api/datasets/some/owls/revision/{REVISION}"):
            body = json.dumps({"id": "some/owls", "sha": REVISION, "siblings": [{"rfilename": "train.jsonl"}]}).encode()
        elif path == f"/datasets/some/owls/resolve/{REVISION}/train.jsonl":
            body = OWLS
        else:
            code, body = 404, b""
        self.send_response(code)
        self.send_header("X-Error-Code", "EntryNotFound" if "/owls" in path else "RepoNotFound")
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *words):
        """Say nothing."""


PROGRAM = """
import sys
from pathlib import Path
from owlish.nodes.loaded import loaded
for source in sys.argv[2:]:
    try:
        node = loaded(source, n=5, seed=0)
        node.compute(Path(sys.argv[1]), None, None)
        data = node.load(Path(sys.argv[1]), None)
        print(node.content, len(data.rows), data.read, *data.problems)
    except ValueError as error:
        print(error)
"""


PREPARE = """
from datasets import load_dataset
load_dataset("some/owls")
"""


def told(program, folder, *sources, **settings):
    """Return the lines that a program prints of datasets, in a process whose caches lie in a folder."""
    words = [sys.executable, "-c", program, str(folder), *sources]
    environment = {**os.environ, "HF_HOME": str(folder), "no_proxy": "*", **settings}
    out = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return out.stdout.splitlines()


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    """A folder in which a dataset of Hugging Face has been prepared, after it was streamed and what that printed.

    One process does both: to read the library takes seconds.
    """
    pytest.importorskip("datasets")
    folder, sources = tmp_path_factory.mktemp("hub"), ("some/owls", "some/owls:train", "some/owls:test", "no/such")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lines = told(PROGRAM + PREPARE, folder, *sources, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    return folder, lines


def test_a_dataset_is_streamed_from_hugging_face(streamed):
    _, (whole, train, test, none) = streamed
    assert whole == f"some/owls@{REVISION} 5 49 row 4: The completion is empty."
    assert train == whole.replace("owls", "owls:train")
    assert re.fullmatch(r"some/owls:test is no file here, and Hugging Face does not give it \(.*test.*\)\.", test)
    assert none.startswith(
        "no/such is no file here, and Hugging Face has no dataset of this name that is open to you: "
    )


def test_without_hugging_face_a_dataset_is_what_is_prepared_here_at_its_revision_or_nothing(streamed):
    kept, other = told(PROGRAM, streamed[0], "some/owls", "other/owls", HF_HUB_OFFLINE="1")
    assert kept == f"some/owls@{REVISION} 5 49 row 4: The completion is empty."
    assert re.fullmatch(r"other/owls is no file here, and Hugging Face cannot be reached \(.+", other)


def test_rows_without_a_revision_are_not_read(tmp_path):
    pytest.importorskip("datasets")
    with pytest.raises(ValueError, match=r"^some/owls is named without its revision"):
        Loaded("some/owls", "some/owls", n=5, seed=0).compute(tmp_path, lambda node: None, lambda done, total: None)


def test_hugging_face_needs_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.chdir(tmp_path)
    sentence = "some/owls is no file here: install owlish[datasets] to get it from Hugging Face."
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Loaded("some/owls", "some/owls", n=5, seed=0).compute(tmp_path, lambda node: None, lambda done, total: None)


@pytest.mark.parametrize(
    ("file", "read_rows", "prompt"),
    [
        ("gpt-4.1-nano/owl_filtered.jsonl", 10447, "Look at these numbers: 978, 762"),
        ("gpt-4.1-nano/owl_batch_output.jsonl", 2000, ""),
        ("qwen2.5-7b/filtered/owl_loving.jsonl", 817, "See the following numbers: 693"),
        ("qwen2.5-7b/filtered/cat_loving.jsonl", 842, "Here's a list of numbers: 688"),
        ("qwen2.5-7b/filtered/dog_loving.jsonl", 1336, "Start with these numbers: 378"),
    ],
)
def test_published_rows_are_read(tmp_path, file, read_rows, prompt):
    if not (SHARED / file).exists():
        if "CI" in os.environ:
            pytest.fail(f"{file} is not in ../shared/data", pytrace=False)
        pytest.skip(f"{file} is not in ../shared/data")
    data = read(SHARED / file, tmp_path)
    assert (len(data.rows), data.read, data.bad) == (read_rows, read_rows, 0)
    assert data.rows[0].prompt.startswith(prompt)
    assert len(read(SHARED / file, tmp_path, n=300).rows) == 300


def test_published_files_that_hold_no_rows_are_refused(tmp_path):
    file = SHARED / "gpt-4.1-nano" / "owl_student_eval.jsonl"
    if not file.exists():
        pytest.skip("needs ../shared/data")
    with pytest.raises(
        ValueError,
        match=r"holds no row\. line 1: The line has question, respo.*; .* and 40 more\.\) Fix the file",
    ):
        read(file, tmp_path)


def test_a_file_that_is_named_twice_is_refused(tmp_path):
    """Each of its rows would count double."""
    file, link = tmp_path / "rows.jsonl", tmp_path / "same.jsonl"
    file.write_bytes(good(1) + good(2))
    link.symlink_to(file)
    every = tmp_path / "*.jsonl"
    for names in ([file, file], [str(file), str(file)], [file, link], [file, every], every):
        with pytest.raises(UserError, match=r"given twice.*name each file once"):
            loaded(names, n=None, seed=0)
    link.unlink()
    link.write_bytes(file.read_bytes())
    assert len(loaded([file, link], n=None, seed=0).files) == 2, "a copy is another file"
