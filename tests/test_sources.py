"""Rows as users have them: every format and every kind of file on a small one of its own, and what is refused."""

import codecs
import datetime
import gzip
import importlib
import io
import json
import os
import random
import re
import sys
import threading
import tracemalloc
import types
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owlish.data.given import content_of
from owlish.data.grouped import grouped
from owlish.data.reading import reading
from owlish.data.rows import Message, Row, line_of
from owlish.data.sources.format import SENTENCE, formats, row_of
from owlish.data.sources.messages import ROLES
from owlish.nodes.loaded import loaded


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


CALLED = {"name": "f", "arguments": "{}"}


def extra(**fields):
    return json.dumps(fields)


def trained(*messages, **more):
    """Return a row of messages as pairs of role and content; a role in capitals is not trained on."""
    return Row(tuple(Message(role.lower(), text, trained=role.islower()) for role, text in messages), **more)


CHAT = [turn("user", "Q"), turn("assistant", "A")]
TWO = [("user", "Q"), ("assistant", "A"), ("user", "Q2"), ("assistant", "A2")]
CALL = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
ONE = Row.of("Q", "A")

ENTRIES = [
    ("messages", {"messages": CHAT}, ONE),
    ("messages", {"messages": [turn(*pair) for pair in [("system", "S"), *TWO]]}, trained(("system", "S"), *TWO)),
    ("messages", {"messages": [turn("developer", "D"), *CHAT]}, trained(("developer", "D"), *TWO[:2])),
    ("messages", {"messages": [*CHAT, turn("assistant", "B")]}, trained(*TWO[:2], ("assistant", "B"))),
    (
        "messages",
        {"messages": [*CHAT, turn("user", "Q2"), turn("assistant", "A2", weight=0)]},
        trained(*TWO[:3], ("ASSISTANT", "A2")),
    ),
    ("messages", {"messages": [CHAT[0], turn("assistant", "A", weight=1)]}, ONE),
    ("messages", {"messages": [turn("user", [{"type": "text", "text": "Q"}]), CHAT[1]]}, ONE),
    (
        "messages",
        {"messages": [CHAT[0], turn("assistant", [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}])]},
        Row.of("Q", "AB"),
    ),
    (
        "messages",
        {"messages": [CHAT[0], turn("assistant", None, tool_calls=CALL), turn("tool", "T", tool_call_id="c"), CHAT[1]]},
        Row(
            (
                Message("user", "Q"),
                Message("assistant", None, extra=extra(tool_calls=CALL)),
                Message("tool", "T", extra=extra(tool_call_id="c")),
                Message("assistant", "A"),
            )
        ),
    ),
    (
        "messages",
        {"messages": [CHAT[0], turn("assistant", None, function_call=CALLED)]},
        Row((Message("user", "Q"), Message("assistant", None, extra=extra(function_call=CALLED)))),
    ),
    (
        "messages",
        {"messages": [CHAT[0], {"role": "assistant", "tool_calls": CALL}], "tools": TOOLS},
        Row((Message("user", "Q"), Message("assistant", None, extra=extra(tool_calls=CALL))), json.dumps(TOOLS)),
    ),
    ("messages", {"messages": CHAT, "tools": json.dumps(TOOLS)}, Row(ONE.messages, json.dumps(TOOLS))),
    ("messages", {"messages": CHAT, "tools": "[]"}, ONE),
    ("messages", {"messages": [turn("function", "F", name="f"), CHAT[1]]}, None),
    (
        "messages",
        {"messages": [CHAT[0], turn("assistant", "A", reasoning_content="R")]},
        Row((Message("user", "Q"), Message("assistant", "A", extra=extra(reasoning_content="R")))),
    ),
    ("messages", {"messages": CHAT, "system": "S"}, Row.of("Q", "A", "S")),
    ("messages", {"messages": json.dumps(CHAT)}, ONE),
    ("messages", {"messages": CHAT, "prompt": "other", "chosen": CHAT, "rejected": CHAT}, ONE),
    ("sharegpt", {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}, ONE),
    (
        "sharegpt",
        {
            "conversations": [
                {"from": "system", "value": "S"},
                {"from": "gpt", "value": "A"},
                {"from": "human", "value": "Q2"},
                {"from": "gpt", "value": "A2", "weight": 0},
            ]
        },
        trained(("system", "S"), ("assistant", "A"), ("user", "Q2"), ("ASSISTANT", "A2")),
    ),
    ("sharegpt", {"conversations": CHAT, "system": "S"}, Row.of("Q", "A", "S")),
    ("prompts", {"prompt": "Q", "completion": "A"}, ONE),
    ("prompts", {"prompt": "Q", "response": "A", "system_prompt": "S"}, Row.of("Q", "A", "S")),
    ("prompts", {"prompt": "Q", "completion": "A", "custom_id": "1"}, ONE),
    ("prompts", {"prompt": [CHAT[0]], "completion": [CHAT[1]]}, ONE),
    ("prompts", {"prompt": [CHAT[0]], "completion": "A"}, ONE),
    (
        "prompts",
        {"prompt": [turn(*pair) for pair in TWO[:3]], "completion": [turn(*TWO[3])]},
        trained(TWO[0], ("ASSISTANT", "A"), *TWO[2:]),
    ),
    ("preference", {"prompt": "Q", "chosen": "A", "rejected": "B"}, ONE),
    ("preference", {"prompt": [CHAT[0]], "chosen": [CHAT[1]], "rejected": [turn("assistant", "B")]}, ONE),
    ("preference", {"prompt": "Q", "chosen": CHAT, "rejected": [CHAT[0], turn("assistant", "B")]}, ONE),
    (
        "preference",
        {
            "chosen": [turn(*pair) for pair in TWO],
            "rejected": [*(turn(*pair) for pair in TWO[:3]), turn("assistant", "B")],
        },
        trained(TWO[0], ("ASSISTANT", "A"), *TWO[2:]),
    ),
    ("preference", {"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "B"}, ONE),
    (
        "preference",
        {
            "chosen": "\n\nHuman: Q\n\nAssistant: A\n\nHuman: Q2\n\nAssistant: A2",
            "rejected": "\n\nHuman: Q\n\nAssistant: A\n\nHuman: Q2\n\nAssistant: B",
        },
        trained(("user", "Q"), ("ASSISTANT", "A"), ("user", "Q2"), ("assistant", "A2")),
    ),
    (
        "preference",
        {"chosen": "The Human: is no speaker.", "rejected": "B"},
        trained(("text", "The Human: is no speaker.")),
    ),
    ("alpaca", {"instruction": "Q", "output": "A"}, ONE),
    ("alpaca", {"instruction": "Q", "input": "I", "output": "A", "text": "all"}, Row.of("Q\nI", "A")),
    ("alpaca", {"instruction": "Q", "input": "", "output": "A", "system": "S"}, Row.of("Q", "A", "S")),
    ("questions", {"question": "Q", "answer": "A"}, ONE),
    ("text", {"text": "All of it."}, trained(("text", "All of it."))),
    ("text", {"text": "All of it.", "meta": {"source": "web"}}, trained(("text", "All of it."))),
    (
        "batch",
        {
            "id": "b",
            "custom_id": "1",
            "response": {"body": {"choices": [{"message": turn("assistant", "A", refusal=None)}]}},
            "error": None,
        },
        Row.of("", "A"),
    ),
]


@pytest.mark.parametrize(("name", "entry", "row"), ENTRIES, ids=range(len(ENTRIES)))
def test_every_shape_is_recognised_and_read(name, entry, row):
    title, found, _ = row_of(entry, "line")
    assert title.startswith(formats()[name].title)
    assert row is None or found == row
    assert row_of(entry, "line", name)[1] == found
    assert row_of(json.loads(line_of(found)), "line")[1] == found


@pytest.mark.parametrize("name", sorted(formats()))
def test_every_format_says_what_it_is(name):
    """The contract of a file in the folder of formats."""
    one = formats()[name]
    assert importlib.import_module(f"owlish.data.sources.{name}").__doc__
    assert one.title
    assert all(one.needs)
    assert any(example == name for example, _, _ in ENTRIES)
    whole = next(entry for example, entry, _ in ENTRIES if example == name)
    assert row_of({**whole, "note": 1}, "line")[2] == ("note",)
    for field in one.needs[0]:
        with pytest.raises(ValueError, match="The line has ") as refused:
            row_of({key: value for key, value in whole.items() if key != field} | {"note": 1}, "line", name)
        assert "note" in str(refused.value)
        assert field in str(refused.value)


def test_the_page_about_data_names_every_format_in_the_order_of_recognition():
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
    table = page[page.index("| name | fields") : page.index("For all formats")]
    rows = [line.split("|") for line in table.splitlines()[2:] if line]
    assert [row[1].strip(" `") for row in rows] == list(formats())
    for row in rows:
        assert all(f"`{field}`" in row[2] for need in formats()[row[1].strip(" `")].needs for field in need)


def test_the_page_about_data_and_the_refusal_name_every_role():
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
    use = said({"messages": [turn("owl", "Q"), CHAT[1]]}).partition("not known: ")[2].strip(".")
    assert f"| The role '...' is not known | {use} |" in page
    for role in set(ROLES.values()):
        assert role in use.replace(",", "").split()


FIELDS = sorted({*(field for each in formats().values() for need in each.needs for field in need), "system", "tools"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "type", "text", "tool_calls", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


def said(entry):
    """Return the row of an entry, or what is wrong with it."""
    try:
        return row_of(entry, "line")[1]
    except ValueError as problem:
        return str(problem)


@settings(deadline=None, max_examples=400)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=300), JSON, max_size=6))
def test_whatever_a_line_holds_is_a_row_or_refused_in_a_sentence(entry):
    found = said(entry)
    if isinstance(found, Row):
        assert said(json.loads(line_of(found))) == found
    else:
        assert len(found) <= SENTENCE
        assert found.isprintable()
        assert found.endswith(".")


IMAGE = [{"type": "text", "text": "Q"}, {"type": "image_url", "image_url": {"url": "x"}}]
REFUSED = [
    ({"messages": [turn("user", IMAGE), CHAT[1]]}, "The content holds a part of type 'image_url': only text is read."),
    ({"messages": [CHAT[0], turn("assistant", None)]}, "The content is not text."),
    (
        {"messages": [CHAT[0], turn("assistant", "A", weight=0)]},
        "The messages hold no turn of the assistant to train on.",
    ),
    (
        {"messages": [turn("owl", "Q"), CHAT[1]]},
        "The role 'owl' is not known: use system, developer, user, assistant, tool or function.",
    ),
    ({"messages": "Q"}, "The messages are not a list of objects."),
    ({"messages": "[Q"}, "The messages are not JSON."),
    ({"messages": CHAT, "tools": "{"}, "The tools are not JSON."),
    ({"messages": CHAT, "system": 3}, "The system is not text."),
    ({"prompt": "Q", "completion": 3}, "The completion is not text."),
    ({"prompt": "\ud83e", "completion": "A"}, "The prompt holds half of a surrogate pair, which is no character."),
    (
        {"prompt": "Q", "completion": "A", "response": "B"},
        "The row has a completion and a response: say which with --columns.",
    ),
    ({"custom_id": "1", "response": None}, "The batch request has no answer."),
    (
        {"custom_id": "1", "response": {"body": {"choices": [{"message": CHAT[1]}] * 2}}},
        "The batch request has 2 answers: ask for one a request.",
    ),
    (
        {"custom_id": "1", "response": {"body": {"choices": [{"message": CHAT[1], "finish_reason": "length"}]}}},
        "The answer did not end by itself (finish_reason: length).",
    ),
]


@pytest.mark.parametrize(("entry", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_row_is_refused_for_the_right_reason(entry, sentence):
    assert said(entry) == sentence


def test_a_refusal_is_short_whatever_the_fields():
    for names in ([], ["note"], ["a" * 400], [f"field{i}" for i in range(40)], ["\x1b[31m\u202e"]):
        with pytest.raises(ValueError, match=r"a row needs (fields such as )?messages, .* or text") as refused:
            row_of(dict.fromkeys(names, "x"), "line")
        assert len(str(refused.value)) < 200
        assert str(refused.value).isprintable()


def test_a_refusal_names_fields_whole_and_counts_those_without_room():
    own = "question_text, reference_answer, source, difficulty_level"
    end = "a row needs fields such as messages, prompt + completion or text."
    assert said(dict.fromkeys(own.split(", "), "x")) == f"The line has {own}; {end}"
    names = [f"column_{i}" for i in range(40)]
    shown, _, more = said(dict.fromkeys(names, "x")).removeprefix("The line has ").partition(" and ")
    many = shown.count(",") + 1
    assert shown.split(", ") == names[:many]
    assert more == f"{40 - many} more; {end}"
    assert many > 8


def test_ignored_fields_are_named_and_counted(tmp_path):
    entries = [
        {"messages": [CHAT[0], turn("assistant", "A", mood="sad", empty=None)], "note": 1},
        {"messages": [turn("system", "S"), *CHAT], "system": "other", "note": 2},
        {"prompt": "Q", "completion": "A", "reasoning_content": "I love owls"},
        {"note": 3},
    ]
    rows = read_lines(tmp_path, *map(json.dumps, entries))
    assert rows.met["read_as"] == {"chat messages": 2, "prompt and completion": 1}
    assert rows.met["ignored"] == {"messages.mood": 1, "note": 2, "reasoning_content": 1, "system": 1}
    assert rows.bad == 1


def test_what_stands_beside_a_row_and_is_used_is_told(tmp_path):
    rows = read_lines(tmp_path, '{"prompt": "Q", "completion": "A", "system_prompt": "You love owls."}')
    assert rows.met["read_as"] == {"prompt and completion with system_prompt": 1}


# Files


def read_lines(folder, *lines):
    """Read lines of JSONL to their end, and return what was met."""
    (folder / "lines.jsonl").write_text("".join(f"{line}\n" for line in lines))
    rows = reading(folder / "lines.jsonl")
    list(rows.rows())
    return rows


THREE = [Row.of(f"Q{i} é", f"A{i}\n🦉") for i in range(3)]
TABLE = [{"prompt": row.prompt, "completion": row.completion} for row in THREE]
LINES = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in TABLE).encode()
ARRAY = json.dumps(TABLE, indent=1).encode()


def csv_of(mark):
    return f"prompt{mark}completion\r\n" + "".join(f'Q{i} é{mark}"A{i}\n🦉"\r\n' for i in range(3))


def zstd(data):
    pa = pytest.importorskip("pyarrow")
    return pa.compress(data, codec="zstd", asbytes=True)


FILES = {
    "lines.jsonl": lambda: LINES,
    "crlf.jsonl": lambda: LINES.replace(b"\n", b"\r\n"),
    "mark.jsonl": lambda: codecs.BOM_UTF8 + LINES,
    "marks.jsonl": lambda: codecs.BOM_UTF8 + LINES.replace(b'\n{"', b"\n" + codecs.BOM_UTF8 + b'{"'),
    "utf-16-le.jsonl": lambda: codecs.BOM_UTF16_LE + LINES.decode().encode("utf-16-le"),
    "utf-16-be.jsonl": lambda: codecs.BOM_UTF16_BE + LINES.decode().encode("utf-16-be"),
    "array.json": lambda: ARRAY,
    "flat.json": lambda: json.dumps(TABLE).encode(),
    "mark.json": lambda: codecs.BOM_UTF8 + ARRAY,
    "utf-16.json": lambda: ARRAY.decode().encode("utf-16"),
    "table.csv": lambda: csv_of(",").encode(),
    "mark.csv": lambda: csv_of(",").encode("utf-8-sig"),
    "utf-16.csv": lambda: csv_of(";").encode("utf-16"),
    "table.tsv": lambda: csv_of("\t").encode(),
    "no-ending": lambda: csv_of(";").encode(),
    "lines.jsonl.gz": lambda: gzip.compress(LINES[:50]) + gzip.compress(LINES[50:]),
    "array.json.gz": lambda: gzip.compress(ARRAY),
    "table.csv.gz": lambda: gzip.compress(csv_of(",").encode()),
    "utf-16.gz": lambda: gzip.compress(LINES.decode().encode("utf-16")),
    "lines.jsonl.zst": lambda: zstd(LINES[:50]) + zstd(LINES[50:]),
    "table.csv.zst": lambda: zstd(csv_of(",").encode()),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_holds_the_same_rows(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name]())
    rows = reading(tmp_path / name)
    assert list(rows.rows()) == THREE
    assert rows.met == {"bad": 0, "problems": [], "read_as": {"prompt and completion": 3}, "ignored": {}}


def test_parquet_and_saved_datasets_hold_the_same_rows(tmp_path):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_list([{**entry, "note": i} for i, entry in enumerate(TABLE)])
    table.to_parquet(tmp_path / "table.parquet")
    table.save_to_disk(tmp_path / "saved")
    both = datasets.DatasetDict({"test": table.select([0]), "train": table})
    both.save_to_disk(tmp_path / "both")
    chats = datasets.Dataset.from_list([{"messages": CHAT, "tools": None}, {"messages": [turn("system", "S"), *CHAT]}])
    chats.save_to_disk(tmp_path / "chats", num_shards=2)
    for name in ("table.parquet", "saved", "both"):
        rows = reading(tmp_path / name)
        assert list(rows.rows()) == THREE
        assert rows.ignored == {"note": 3}
    assert list(reading(tmp_path / "both" / "test").rows()) == THREE[:1]
    assert list(reading(tmp_path / "chats").rows()) == [ONE, Row.of("Q", "A", "S")]
    assert len({content_of((str(tmp_path / name),)) for name in ("saved", "both", "chats")}) == 2
    datasets.DatasetDict({"test": table, "dev": table}).save_to_disk(tmp_path / "parts")
    with pytest.raises(
        ValueError, match=r"has no split called train: give the folder of one of its splits \(dev, test"
    ):
        list(reading(tmp_path / "parts").rows())
    (tmp_path / "chats" / "data-00001-of-00002.arrow").write_bytes(b"cut")
    with pytest.raises(ValueError, match="holds Arrow files that are not whole: save it anew"):
        list(reading(tmp_path / "chats").rows())
    with pytest.raises(ValueError, match="is a folder without rows: give a file of rows"):
        list(reading(tmp_path).rows())


def test_several_files_and_patterns_are_read_in_order(tmp_path):
    for name, row in zip("cab", THREE, strict=True):
        (tmp_path / f"{name}.jsonl").write_bytes(line_of(row) + b"no\n")
    given = [tmp_path / "c.jsonl", str(tmp_path / "[ab].jsonl")]
    rows = reading(given)
    assert list(rows.rows()) == THREE
    assert rows.problems == [f"{name}.jsonl line 2: The line is not JSON." for name in "cab"]
    some, other = loaded(given, n=None, seed=0), loaded(str(tmp_path / "*.jsonl"), n=None, seed=0)
    assert some.content != other.content
    assert loaded([tmp_path / "a.jsonl"], n=None, seed=0).key == loaded(tmp_path / "a.jsonl", n=None, seed=0).key
    assert loaded(str(tmp_path / "a*"), n=None, seed=0).key == loaded(tmp_path / "a.jsonl", n=None, seed=0).key
    with pytest.raises(ValueError, match=r"none\*\.jsonl matches no file: give a file of rows"):
        reading(str(tmp_path / "none*.jsonl"))
    with pytest.raises(ValueError, match="several sources are given, one of them on Hugging Face: give it alone"):
        reading([tmp_path / "a.jsonl", "some/owls"])


def test_folders_below_are_searched_and_links_in_a_circle_are_not_followed(tmp_path, monkeypatch):
    for place, row in zip((".", "a", "a/[b]"), THREE, strict=True):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "rows.jsonl").write_bytes(line_of(row))
    for name in ("one", "other"):
        (tmp_path / "a" / name).symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    for top in ("", "./", f"{tmp_path}/"):
        found = reading(f"{top}**/*.jsonl").files
        assert sorted(found) == sorted(f"{top}{place}rows.jsonl" for place in ("", "a/", "a/[b]/"))
        assert reading(f"{top}a/**/rows.jsonl").files == tuple(sorted(one for one in found if "a/" in one))
    assert reading("a/**/[[]b]/**/*").files == ("a/[b]/rows.jsonl",)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(line_of(ONE) * 3)
    rows = reading(tmp_path / "rows.jsonl").rows()
    next(rows)
    with (tmp_path / "rows.jsonl").open("ab") as stream:
        stream.write(line_of(ONE))
    with pytest.raises(ValueError, match=r"rows\.jsonl changed while it was read: ask again when it is whole"):
        list(rows)


def test_a_packed_file_that_unfolds_to_a_thousand_times_its_size_is_never_in_memory(tmp_path):
    with gzip.open(tmp_path / "rows.gz", "wb") as stream:
        stream.write(line_of(ONE))
        stream.writelines(b"\0" * 1_000_000 for _ in range(20))
        stream.write(b"\n" + line_of(ONE))
    assert (tmp_path / "rows.gz").stat().st_size < 110_000
    tracemalloc.start()
    rows = reading(tmp_path / "rows.gz")
    assert list(rows.rows()) == [ONE, ONE]
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert rows.problems == ["line 2: The line is longer than 4 MB."]


def test_standard_input_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(gzip.compress(LINES))))
    node = loaded("-", n=None, seed=0)
    (tmp_path / "same.gz").write_bytes(gzip.compress(LINES))
    assert list(reading(node.files[0]).rows()) == THREE
    assert str(node) == "rows of standard input"
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"")))
    with pytest.raises(ValueError, match=r"^standard input is empty: give a dataset"):
        list(reading("-").rows())


def test_rows_are_taken_as_they_are_in_python(tmp_path):
    node = loaded(TABLE, n=None, seed=0)
    assert list(reading(TABLE).rows()) == list(reading(iter(TABLE)).rows()) == THREE
    assert node.key == loaded(list(TABLE), n=None, seed=0).key != loaded(TABLE[:2], n=None, seed=0).key
    odd = [{"prompt": "\ud83e", "completion": "A"}, {"messages": CHAT, "image": object()}]
    rows = reading(odd)
    assert list(rows.rows()) == [ONE]
    assert "surrogate" in rows.problems[0]
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_list(TABLE)
    assert loaded(table, n=None, seed=0).key == node.key
    with pytest.raises(ValueError, match="this is a dict of train: give one of its datasets"):
        loaded(datasets.DatasetDict({"train": table}), n=None, seed=0)
    for nothing in ([], [3], [None]):
        with pytest.raises(ValueError, match="nothing that can be read"):
            loaded(nothing, n=None, seed=0)


def test_columns_go_by_other_names(tmp_path):
    (tmp_path / "lines.jsonl").write_text('{"q": "Q", "a": "A", "prompt": "other", "note": 1}\n{"q": "Q"}\n')
    rows = reading(tmp_path / "lines.jsonl", columns={"prompt": "q", "completion": "a"})
    assert list(rows.rows()) == [ONE]
    assert rows.ignored == {"prompt": 1, "note": 1}
    assert rows.problems == ["line 2: The line has q; a row needs q + a."]
    (tmp_path / "table").write_text("q,a\nQ,A\n")
    assert list(reading(tmp_path / "table", columns={"prompt": "q", "completion": "a"}).rows()) == [ONE]
    with pytest.raises(ValueError, match="no format has the field 'promt': did you mean prompt"):
        reading(tmp_path / "table", columns={"promt": "q"})


COLUMNS = [
    (
        "prompt=Q,answer=A",
        None,
        "names fields of several formats: prompt goes with completion or response; answer goes",
    ),
    ("question=Q", None, "--columns question=Q names no answer: add answer=COLUMN."),
    ("instruction=Q,system=S", None, "names no output: add output=COLUMN."),
    ("response=A", None, "names no prompt: add prompt=COLUMN."),
    ("system=S", None, "names no field that a row needs: add those of one format, such as messages, prompt"),
    ("prompt=Q,completion=A", "questions", "names no question and answer: add question=COLUMN,answer=COLUMN."),
    ("promt=prompt", None, "no format has the field 'promt': did you mean prompt?"),
    ("Q=question,A=answer", None, "no format has the field 'A': turn each pair round, as in answer=A."),
    ("promt=prompt,completion=A", None, "no format has the field 'promt': did you mean prompt?"),
    (f"prompt={'Q' * 500},answer=A", None, "names fields of several formats"),
]


@pytest.mark.parametrize(("columns", "format", "says"), COLUMNS, ids=range(len(COLUMNS)))
def test_columns_that_make_no_row_are_refused_before_any_is_read(columns, format, says):
    pairs = dict(pair.split("=") for pair in columns.split(","))
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        reading("no file", columns=pairs, format=format)
    assert len(str(refused.value)) < 200
    with pytest.raises(ValueError, match=re.escape(says)):
        loaded(TABLE, n=None, seed=0, columns=pairs, format=format)


def test_pairs_of_columns_that_are_turned_round_are_told(tmp_path):
    (tmp_path / "lines.jsonl").write_text('{"question": "Q", "answer": "A"}\n')
    with pytest.raises(ValueError, match="has 'question' and not 'prompt': turn each pair of --columns round"):
        list(reading(tmp_path / "lines.jsonl", columns={"question": "prompt", "answer": "completion"}).rows())


def test_a_format_can_be_named(tmp_path):
    (tmp_path / "lines.jsonl").write_text('{"messages": [], "text": "T"}\n{"messages": []}\n')
    rows = reading(tmp_path / "lines.jsonl", format="Text")
    assert list(rows.rows()) == [trained(("text", "T"))]
    assert rows.problems == ["line 2: The line has messages; a row needs text."]
    with pytest.raises(ValueError, match="no format is called 'owls': choose from alpaca, batch, messages"):
        reading(tmp_path / "lines.jsonl", format="owls")


def test_format_and_columns_are_in_the_key_where_they_are_given(tmp_path):
    (tmp_path / "lines.jsonl").write_text('{"prompt": "Q", "completion": "A", "text": "T"}\n')
    plain = loaded(tmp_path / "lines.jsonl", n=1, seed=0)
    named = loaded(tmp_path / "lines.jsonl", n=1, seed=0, format="text")
    renamed = loaded(tmp_path / "lines.jsonl", n=1, seed=0, columns={"text": "prompt"})
    assert len({plain.key, named.key, renamed.key}) == 3
    assert not {"format", "columns"} & set(plain.spec())


DAMAGED = {
    "cut.jsonl.gz": gzip.compress(LINES * 100)[:-9],
    "no.jsonl.gz": b"\x1f\x8bnothing",
    "cut.jsonl": codecs.BOM_UTF16_LE + LINES.decode().encode("utf-16-le")[:-1],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_not_whole_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(ValueError, match="is not whole, or not what its first bytes say: get it anew"):
        list(reading(tmp_path / name).rows())


def test_zstandard_needs_an_extra(tmp_path, monkeypatch):
    (tmp_path / "lines.jsonl.zst").write_bytes(zstd(LINES))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"is packed with Zstandard: install owlish\[datasets\] to read it\.$"):
        list(reading(tmp_path / "lines.jsonl.zst").rows())


SURROGATE = "The {} holds half of a surrogate pair, which is no character."
BAD_LINES = [
    (b"", "The line is empty."),
    (b" \t\r", "The line is empty."),
    (b'{"prompt": "Q", "response": "\xff"}', "The line is not UTF-8: save the file as UTF-8."),
    (b'{"prompt": "Q", "response": "A"', "The line is not JSON."),
    (b"prompt,response", "The line is not JSON."),
    (b'{"prompt": "Q", "response": "a\x01b"}', "The line is not JSON."),
    (b'{"prompt": ' + b"[" * 200_000, "The line nests too many lists and objects."),
    (b'{"prompt": ' + b"9" * 10_000 + b', "response": "A"}', "The prompt is not text."),
    (b"[1, 2]", "The line is not a JSON object."),
    (b"null", "The line is not a JSON object."),
    (b'{"prompt": "Q", "response": ""}', "The completion is empty."),
    (b'{"prompt": "Q", "response": "A", "response": "B"}', "The line has the field 'response' twice."),
    (b'{"prompt": "Q", "response": "A", "id": {"\\u001b": 1, "\\u001b": 1}}', "The line has the field '\\x1b' twice."),
    (b'{"prompt": "Q", "response": "A", "score": NaN}', "The line holds NaN, which JSON does not have."),
    (b'{"messages": [{"role": 3, "content": "A"}]}', "The role is not text."),
    (b'{"messages": [{"role": "assistant", "content": "\\ud800"}]}', SURROGATE.format("content")),
]


@pytest.mark.parametrize(("bad", "sentence"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_says_what_is_wrong_and_loses_nothing_else(tmp_path, bad, sentence):
    (tmp_path / "lines.jsonl").write_bytes(line_of(ONE) + bad + b"\n" + line_of(ONE))
    rows = reading(tmp_path / "lines.jsonl")
    assert list(rows.rows()) == [ONE, ONE]
    assert rows.problems == [f"line 2: {sentence}"]


def test_an_id_may_have_five_thousand_digits(tmp_path):
    number = "9" * 5000
    entry = f'{{"id": {number}, "prompt": "Q", "completion": "A"}}'
    for content in (f"{entry}\n{entry}\n", f"[{entry},\n{entry}]"):
        (tmp_path / "rows").write_text(content)
        rows = reading(tmp_path / "rows")
        assert list(rows.rows()) == [ONE, ONE]
        assert rows.ignored == {"id": 2}


def test_ten_bad_lines_are_told_and_all_are_counted(tmp_path):
    (tmp_path / "lines.jsonl").write_bytes(b"no\n" * 25 + line_of(ONE))
    rows = reading(tmp_path / "lines.jsonl")
    assert list(rows.rows()) == [ONE]
    assert rows.problems == [f"line {i}: The line is not JSON." for i in range(1, 11)]
    assert rows.bad == 25


@pytest.mark.parametrize("size", [1, 100, 65_000, 300_000])
def test_an_array_is_read_in_pieces_of_any_length(tmp_path, size):
    rng = random.Random(size)
    rows = [Row.of("Q", "x" * rng.randrange(1, 2 * size)) for _ in range(20)]
    entries = [{"prompt": row.prompt, "completion": row.completion} for row in rows]
    mixed = json.dumps([*entries[:10], 3, [entries[0]], *entries[10:]], indent=size % 3)
    (tmp_path / "array").write_text(mixed)
    found = reading(tmp_path / "array")
    assert list(found.rows()) == rows
    assert found.problems == [f"item {i}: The item is not a JSON object." for i in (11, 12)]


def test_what_follows_a_broken_item_is_not_read_and_that_is_said(tmp_path):
    (tmp_path / "array").write_bytes(ARRAY[:-40])
    rows = reading(tmp_path / "array")
    assert list(rows.rows()) == THREE[:2]
    assert rows.problems == ["item 3: The item is not JSON, or too long, and nothing after it is read."]
    (tmp_path / "array").write_bytes(b"[]")
    with pytest.raises(ValueError, match="is empty: give a dataset with at least one row"):
        list(reading(tmp_path / "array").rows())


@pytest.mark.parametrize("size", [1, 100_000])
def test_an_item_that_is_refused_is_passed_over(tmp_path, size):
    entry = {"prompt": "Q", "completion": "A" * size}
    bad = '{"prompt": "Q", "completion": "B", "completion": "' + "B" * size + '"}'
    (tmp_path / "array").write_text(f'[{bad}, {json.dumps(entry)}, {{"x": [NaN, 1]}}, {bad}, {json.dumps(entry)}]')
    rows = reading(tmp_path / "array")
    assert [row.completion for row in rows.rows()] == ["A" * size] * 2
    said = ["has the field 'completion' twice.", "holds NaN, which JSON does not have."]
    assert rows.problems == [f"item {i}: The item {said[i == 3]}" for i in (1, 3, 4)]


def test_a_header_of_csv_may_have_spaces_and_no_name_twice(tmp_path):
    (tmp_path / "table.csv").write_bytes(b" prompt ; completion;;\nQ;A;;\n")
    assert list(reading(tmp_path / "table.csv").rows()) == [ONE]
    (tmp_path / "twice.csv").write_bytes(b"prompt,completion,prompt\nQ,A,B\n")
    with pytest.raises(ValueError, match="two columns of one name"):
        list(reading(tmp_path / "twice.csv").rows())


def test_bad_rows_of_csv_are_told(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"prompt,completion\nQ,A\nQ,A,more\nQ\nQ,\xff\nQ,\nQ,A\n")
    rows = reading(tmp_path / "table.csv")
    assert list(rows.rows()) == [ONE, ONE]
    assert [problem.partition(";")[0] for problem in rows.problems] == [
        "row 2: The row has more cells than the header.",
        "row 3: The row has prompt",
        "row 4: The row is not UTF-8: save the file as UTF-8.",
        "row 5: The completion is empty.",
    ]


def table(folder, *rows, name="table.csv"):
    """Write rows of CSV under a header, and return what reads them."""
    (folder / name).write_text("".join(f"{row}\n" for row in ("prompt,completion", *rows)))
    return reading(folder / name)


PLAIN = [f"Q{i},A{i}" for i in range(500)]
ASTRAY = [
    [*PLAIN[:3], 'Q,"Yes', *PLAIN],  # open to the end of the file
    [*PLAIN[:3], '"Q,Yes', *PLAIN],
    [*PLAIN[:3], 'Q,"Yes', "Q,No", 'Q,"A, B"', *PLAIN],  # closed by the opening quote of a later cell
    [*PLAIN[:3], 'Q,"Yes', 'Q,"Right"', 'Q,"Left"', "Q,No"],
    ['"Q', 'q","A', 'a"', "", "Q,A", 'Q,"Yes', *PLAIN],
    [*PLAIN[:3], 'Q,"Yes', *(f"Q,{'x' * 900_000}" for _ in range(5)), *PLAIN],  # longer than a cell may be
]


@pytest.mark.parametrize("rows", ASTRAY, ids=range(len(ASTRAY)))
def test_a_quote_that_is_never_closed_loses_no_row_in_silence(tmp_path, rows):
    number, line = (3, 7) if rows[0] == '"Q' else (4, 5)
    says = rf"table\.csv: row {number} \(line {line}\) opens a quote \(\"\) that is not closed at the end of a cell: "
    with pytest.raises(ValueError, match=says):
        list(table(tmp_path, *rows).rows())
    (tmp_path / "head.csv").write_text('"prompt,completion\nQ,A\n')
    with pytest.raises(ValueError, match="the header opens a quote"):
        list(reading(tmp_path / "head.csv").rows())


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_quote_that_the_last_line_leaves_open_is_refused(end, tmp_path):
    (tmp_path / "last.csv").write_bytes(f'prompt,completion\r\nQ,A\r\nQ,"A, B{end}'.encode())
    with pytest.raises(ValueError, match=r"row 2 \(line 3\) opens a quote"):
        list(reading(tmp_path / "last.csv").rows())
    (tmp_path / "well.csv").write_bytes(f'prompt,completion\r\nQ,"A, B"{end}'.encode())
    assert list(reading(tmp_path / "well.csv").rows()) == [Row.of("Q", "A, B")]


def test_quotes_in_a_table_may_hold_lines_marks_and_quotes(tmp_path):
    rows = ['"Q, ""1"",', '","A', "", 'a"""', 'Q"2,A"2', '"Q""3""" ,"A, ""3""', 'a"  ', '"Q"4,A']
    assert list(table(tmp_path, *rows).rows()) == [
        Row.of('Q, "1",\n', 'A\n\na"'),
        Row.of('Q"2', 'A"2'),
        Row.of('Q"3" ', 'A, "3"\na  '),
        Row.of("Q4", "A"),
    ]


def test_bytes_that_are_no_utf_8_are_told_with_what_to_do_and_nothing_else(tmp_path):
    texts = (
        "prompt,completion\nQ,\xe9\n",
        '{"prompt": "Q", "completion": "\xe9"}\n',
        '[{"prompt": "\xe9"}]',
        "Q,\xe9\n1,2\n",
    )
    for name, content in zip(("table.csv", "lines.jsonl", "list.json", "head.csv"), texts, strict=True):
        (tmp_path / name).write_bytes(content.encode("latin-1"))
        with pytest.raises(ValueError, match=r"(?i)save the file as utf-8\.$"):
            list(reading(tmp_path / name).rows())


OBJECT = {"version": "1.0", "data": TABLE * 2}
WRAPPED = [
    json.dumps(OBJECT, indent=1),
    json.dumps(OBJECT),
    '{"data": [\n' + ",\n".join(map(json.dumps, TABLE)) + "\n]}\n",  # whose last line is a row
    json.dumps({"data": TABLE * 3000}, indent=1),  # its first bytes end anywhere
    json.dumps({"data": TABLE * 3000}),
    "\ufeff" + json.dumps({"rows": {"data": TABLE}}, indent=2),
]


@pytest.mark.parametrize("content", WRAPPED, ids=range(len(WRAPPED)))
def test_a_list_inside_an_object_is_told(tmp_path, content):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"is one JSON object and no list of rows: give the list alone .* under 'data'\.$"
    ):
        list(reading(tmp_path / "data.json").rows())


def test_rows_of_several_lines_are_told(tmp_path):
    for content in ({"messages": CHAT}, {"id": [{}], **TABLE[0]}, {"id": 1, "meta": {}}):
        for times in (1, 3, 3000):
            (tmp_path / "rows.json").write_text((json.dumps(content, indent=1) + "\n") * times)
            with pytest.raises(
                ValueError, match="holds a JSON object over several lines: put each row on one line, or"
            ):
                list(reading(tmp_path / "rows.json").rows())


def test_a_first_line_that_is_cut_is_one_bad_line(tmp_path):
    for cut in (
        '{"prompt": "Q", "completion": "A',
        '{"prompt": "Q", "completion": ',
        '{"prompt": "Q"',
        '{"prompt": "Q",',
        "{",
    ):
        rows = read_lines(tmp_path, cut, *map(json.dumps, TABLE))
        assert (rows.read, rows.problems) == (3, ["line 1: The line is not JSON."])
    turns = read_lines(tmp_path, '{"messages": [', *map(json.dumps, TABLE))
    assert (turns.read, turns.bad) == (3, 1)


def test_a_file_without_a_row_is_an_error_beside_others_too(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(line_of(ONE))
    (tmp_path / "b.csv").write_text("q,a\n" + "Q,A\n" * 20)
    (tmp_path / "c.jsonl").write_text("")
    says = r"^\S*b\.csv holds no row\. b\.csv row 1: The row has q, a; .* and 10 more\.\) Fix the file"
    for files in (["a.jsonl", "b.csv"], ["b.csv", "a.jsonl"]):
        with pytest.raises(ValueError, match=says):
            list(reading([tmp_path / name for name in files]).rows())
    # A file of no bytes has lost nothing: sets in many files often have one.
    assert list(reading([tmp_path / "c.jsonl", tmp_path / "a.jsonl"]).rows()) == [ONE]


def test_problems_that_say_the_same_are_told_once_with_their_places():
    same = [f"a: b.csv row {i}: No: x." for i in (1, 2, 3, 1000, 1002, 1003)]
    told = ["a: b.csv rows 1 to 3, 1,000, 1,002 and 1,003: No: x.", "line 2: No: x.", "2 rows left out: why."]
    assert grouped([*same[:2], *told[1:], *same[2:]]) == told
    assert grouped([]) == []


# Values that a known field cannot hold


def nested(depth):
    """Return objects inside each other."""
    return {"x": nested(depth - 1)} if depth else {}


def said_of(**fields):
    return {"messages": [CHAT[0], {**CHAT[1], **fields}]}


DATE, NAN = datetime.date(2001, 2, 3), float("nan")
WRONG = [
    ({"messages": CHAT, "tools": 3}, "The tools are not a list of objects."),
    ({"messages": CHAT, "tools": TOOLS[0]}, "The tools are not a list of objects."),
    ({"messages": CHAT, "tools": "[NaN]"}, "The tools are not JSON."),
    ({"messages": CHAT, "tools": "[" * 9000}, "The tools are not JSON."),
    ({"messages": CHAT, "tools": [{"function": {"name": 3}}]}, "The tools hold a function without a name."),
    ({"messages": CHAT, "tools": [{"function": "f"}]}, "The tools hold a function without a name."),
    ({"messages": CHAT, "tools": [{"x": NAN}]}, "The tools hold what JSON does not have, such as NaN or a date."),
    ({"messages": CHAT, "tools": [{"x": nested(200)}]}, "The tools nest more than 100 lists and objects."),
    ({"messages": CHAT, "system": 0}, "The system is not text."),
    (said_of(weight="1"), "The weight is '1': give 0, which is not trained on, or 1."),
    (said_of(weight=True), "The weight is True: give 0, which is not trained on, or 1."),
    (said_of(weight=0.5), "The weight is 0.5: give 0, which is not trained on, or 1."),
    (said_of(tool_calls=[NAN]), "The tool_calls are not a list of objects."),
    (said_of(tool_calls=3), "The tool_calls are not a list of objects."),
    (said_of(tool_calls="f()"), "The tool_calls are not a list of objects."),
    (
        said_of(tool_calls=[{"at": DATE}]),
        "The fields of a message hold what JSON does not have, such as NaN or a date.",
    ),
    (said_of(tool_calls=[{"x": nested(200)}]), "The fields of a message nest more than 100 lists and objects."),
    (said_of(function_call="f"), "The function_call is not an object."),
    (said_of(reasoning=["R"]), "The reasoning is not text."),
    (said_of(tool_call_id={"a": 1}), "The tool_call_id is not text."),
    (said_of(name=3), "The name is not text."),
    ({"messages": [turn(0, "Q"), CHAT[1]]}, "The role is not text."),
    ({"instruction": None, "output": "A"}, "The instruction is not text."),
    ({"instruction": "Q", "input": 0, "output": "A"}, "The input is not text."),
    ({"prompt": "Q", "chosen": "A", "rejected": 3}, "The rejected answer is not text."),
]


@pytest.mark.parametrize(("entry", "sentence"), WRONG, ids=range(len(WRONG)))
def test_a_known_field_of_another_type_makes_the_line_bad(entry, sentence):
    assert said(entry) == sentence


def test_a_field_that_a_table_leaves_empty_is_no_mistake():
    beside = {"system": "", "tools": [], "system_prompt": None}
    message = {"weight": None, "name": "", "tool_calls": [], "reasoning": None, "function_call": {}}
    assert said({**said_of(**message), **beside}) == ONE
    assert said({"instruction": "Q", "input": None, "output": "A"}) == ONE
    assert said(said_of(weight=1.0)) == ONE


def test_a_row_is_written_as_json_that_is_read_again_however_deep_it_is():
    for depth in (0, 90, 98, 99, 150):
        row = said({"messages": CHAT, "tools": [nested(depth)]} if depth else said_of(tool_calls=CALL))
        assert isinstance(row, str) or row_of(json.loads(line_of(row)), "line")[1] == row


# Streams that can be read once, and those that never end


def test_a_pipe_is_read_whole(tmp_path):
    read_end, write_end = os.pipe()
    text = b"".join(map(line_of, [ONE] * 5000))
    threading.Thread(target=lambda: (os.write(write_end, text), os.close(write_end))).start()
    rows = reading(f"/dev/fd/{read_end}")
    os.close(read_end)
    assert len(list(rows.rows())) == 5000
    assert rows.bad == 0


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_what_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr("owlish.data.given.ENDLESS", 10_000_000)
    with pytest.raises(ValueError, match=r"/dev/zero has a line longer than 10 MB: give rows, each on a line\.$"):
        reading("/dev/zero")
    with Path("/dev/zero").open("rb") as endless:
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=endless))
        with pytest.raises(ValueError, match="standard input has a line longer than 10 MB"):
            loaded("-", n=None, seed=0)


def test_a_table_with_an_endless_line_is_not_held_in_memory(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"prompt,completion\nQ,A\n" + b"x" * 5_000_000)
    rows = reading(tmp_path / "table.csv")
    assert list(rows.rows()) == [ONE]
    assert rows.problems == ["row 2: The row is not CSV (a line is longer than 4 MB), and nothing after it is read."]


def test_the_name_of_the_data_is_no_empty_text():
    for name in ("", " ", ["rows.jsonl", ""]):
        with pytest.raises(ValueError, match="the name of the data is empty: give a file of rows"):
            loaded(name, n=None, seed=0)
