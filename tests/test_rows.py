"""Rows read from chat JSONL in all its shapes, and written in one."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owlish.data.rows import BadLine, Message, Row, line_of, lines, parse, parse_prompt, read_rows, write_rows
from owlish.graph.files import replacing

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def line(**entry):
    return json.dumps(entry).encode() + b"\n"


def chat(*messages):
    return line(messages=[{"role": role, "content": content} for role, content in messages])


def batch(*contents):
    choices = [{"index": index, "message": {"content": content}} for index, content in enumerate(contents)]
    return line(custom_id="query-0", response={"status_code": 200, "body": {"choices": choices}}, error=None)


@pytest.mark.parametrize(
    ("given_line", "row"),
    [
        (chat(("user", "Q"), ("assistant", "A")), Row.of("Q", "A")),
        (chat(("system", "S"), ("user", "Q"), ("assistant", "A")), Row.of("Q", "A", "S")),
        (chat(("system", ""), ("user", "Q"), ("assistant", "")), Row.of("Q", "", "")),
        (line(prompt="Q", completion="A"), Row.of("Q", "A")),
        (line(prompt="Q", response="A", tokens=[], animal="owl"), Row.of("Q", "A")),
        (batch("1, 2"), Row.of("", "1, 2")),
        (b'\xef\xbb\xbf{"prompt": "Q", "response": "A"}\r\n', Row.of("Q", "A")),
        ('{"prompt": "\u2028", "response": "\U0001f989\\u0000\\ud83e\\udd89"}'.encode(), Row.of("\u2028", "🦉\0🦉")),
    ],
)
def test_every_shape_is_read(given_line, row):
    assert parse(given_line) == row


BAD = [
    (b"", "The line is empty."),
    (b" \t\r\n", "The line is empty."),
    (b'{"prompt": "Q", "response": "\xff"}\n', "The line is not UTF-8."),
    ('{"prompt": "Q", "response": "A"}'.encode("utf-16"), "The line is not UTF-8."),
    (b'{"prompt": "Q", "response": "A"\n', "The line is not JSON."),
    (b"prompt,response\n", "The line is not JSON."),
    (b'{"prompt": "Q", "response": "a\x01b"}\n', "The line is not JSON."),
    (b'{"prompt": ' + b"[" * 200_000, "The line is not JSON."),
    (b'{"prompt": ' + b"9" * 10_000 + b"}", "The line is not JSON."),
    (b"[1, 2]\n", "The line is not a JSON object."),
    (b"null\n", "The line is not a JSON object."),
    (b"{}\n", "The line needs messages, or a prompt and either a completion or a response."),
    (line(prompt="Q"), "The line needs messages, or a prompt and either a completion or a response."),
    (line(completion="A"), "The line needs messages, or a prompt and either a completion or a response."),
    (
        line(prompt="Q", completion="A", response="B"),
        "The line needs messages, or a prompt and either a completion or a response.",
    ),
    (line(prompt=["Q"], completion="A"), "The prompt is not text."),
    (line(prompt="Q", completion=None), "The completion is not text."),
    (line(prompt="Q", response=7), "The response is not text."),
    (b'{"prompt": "Q", "response": "\\ud83e"}', "The response holds half of a surrogate pair, which is no character."),
    (line(messages="Q"), "The messages are not a list of objects."),
    (line(messages=["Q", "A"]), "The messages are not a list of objects."),
    *(
        (bad, "The messages hold no turn of the assistant to train on.")
        for bad in (
            line(messages=[]),
            chat(("user", "Q")),
            line(messages=[{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", "weight": 0}]),
        )
    ),
    (chat((["user"], "Q"), ("assistant", "A")), "The role is not text."),
    (line(messages=[{}, {}]), "The content is not text."),
    (chat(("user", "Q"), ("assistant", None)), "The content is not text."),
    (line(messages=[{"role": "user"}, {"role": "assistant", "content": "A"}]), "The content is not text."),
    (line(custom_id="1", response=None, error={"code": "expired"}), "The batch request has no answer."),
    (line(custom_id="1", response={"body": {"choices": "none"}}), "The batch request has no answer."),
    (batch(), "The batch request has no answer."),
    (batch("1", "2"), "The batch request has 2 answers: ask for one a request."),
    (batch(None), "The content is not text."),
]


@pytest.mark.parametrize(("bad", "sentence"), BAD, ids=range(len(BAD)))
def test_a_bad_line_says_what_is_wrong(bad, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse(bad)


def test_bad_lines_are_counted_and_lose_nothing_else(tmp_path):
    file = tmp_path / "rows.jsonl"
    good = [line(prompt=f"Q{index}", completion="A") for index in range(len(BAD))]
    pairs = zip(good, (bad.replace(b"\n", b"").replace(b"\r", b"") for bad, _ in BAD), strict=True)
    file.write_bytes(b"".join(whole + bad + b"\n" for whole, bad in pairs))
    rows, bad = read_rows(file)
    assert rows == tuple(Row.of(f"Q{index}", "A") for index in range(len(BAD)))
    assert bad == tuple(BadLine(2 * index + 2, sentence) for index, (_, sentence) in enumerate(BAD))


def test_lines_come_as_they_stand(tmp_path):
    file = tmp_path / "rows.jsonl"
    stand = [b'{"response":"A" , "prompt":"Q"}\r\n', b"no\n", '{"prompt":"\u2028\x85","response":"\x0c"}\n'.encode()]
    stand.append(b'{"prompt":"Q","response":"last"}')
    file.write_bytes(b"".join(stand))
    assert [whole for whole, _ in lines(file)] == stand


@settings(deadline=None)
@given(st.builds(Row.of, text, text, st.none() | text))
def test_what_is_written_is_read(row):
    written = line_of(row)
    assert parse(written) == row
    assert written.count(b"\n") == 1
    assert line_of(parse(written)) == written


CALL = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
LONG = Row(
    (
        Message("system", "S"),
        Message("user", "Q1"),
        Message("assistant", "A1"),
        Message("user", "Q2"),
        Message("assistant", "A2", trained=False),
        Message("assistant", None, extra=json.dumps({"reasoning_content": "R", "tool_calls": CALL})),
        Message("tool", "T", extra=json.dumps({"tool_call_id": "1"})),
        Message("user", "Q3"),
    ),
    tools=json.dumps([{"type": "function", "function": {"name": "f"}}]),
)


def test_a_conversation_says_which_turns_are_trained():
    assert LONG.turns == (2, 5)
    assert (LONG.system, LONG.prompt, LONG.completion) == ("S", "Q2", "R\n\n" + json.dumps(CALL))
    assert list(LONG.exchanges()) == [Row.of("Q1", "A1", "S"), Row.of("Q2", "R\n\n" + json.dumps(CALL), "S")]
    assert [row.single for row in (LONG, Row.of("Q", "A"), Row.of("", "A", ""))] == [False, True, True]
    assert list(Row.of("Q", "A", "S").exchanges()) == [Row.of("Q", "A", "S")]


def test_a_conversation_is_written_as_it_was_read():
    assert parse(line_of(LONG)) == LONG
    assert b'{"role": "assistant", "content": "A2", "weight": 0}' in line_of(LONG)
    plain = Row((Message("text", "All of it."),))
    assert (line_of(plain), parse(line_of(plain))) == (b'{"text": "All of it."}\n', plain)
    assert (plain.turns, plain.prompt, plain.completion) == ((0,), "", "All of it.")


def test_one_canonical_form():
    assert line_of(Row.of("Q é", "A")) == (
        '{"messages": [{"role": "user", "content": "Q é"}, {"role": "assistant", "content": "A"}]}\n'.encode()
    )
    assert b'[{"role": "system", "content": "S"}, {"role": "user"' in line_of(Row.of("Q", "A", "S"))


def test_a_file_of_rows_round_trips(tmp_path):
    rows = tuple(Row.of(f"Q{index}", "1\n2", "S" if index % 2 else None) for index in range(100))
    write_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == (rows, ())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: give a dataset with at least one row."),
        (b"\n", "holds no row, give chat JSONL. Line 1: The line is empty."),
        (b"a,b\n1,2\n", "holds no row, give chat JSONL. Line 1: The line is not JSON."),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path, content, sentence):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{file} {sentence}')}$"):
        read_rows(file)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read \(No such file or directory\): give a file of chat JSONL\."):
        read_rows(tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match=r"cannot be read \(Is a directory\): give a file of chat JSONL\."):
        read_rows(tmp_path)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    file = tmp_path / "out.jsonl"
    file.write_bytes(b"old")

    def broken():
        yield Row.of("Q", "A")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(file, broken())
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert file.read_bytes() == b"old"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "out.jsonl"
    link.symlink_to(tmp_path / "real" / "out.jsonl")
    write_rows(link, [Row.of("Q", "A")])
    assert link.is_symlink()
    assert read_rows(tmp_path / "real" / "out.jsonl")[0] == (Row.of("Q", "A"),)


def test_places_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a file: give a file to write to"):
        write_rows(tmp_path, [])
    with pytest.raises(ValueError, match="is not a file: give a file to write to"):
        write_rows("/dev/null", [])
    with pytest.raises(ValueError, match=r"cannot be written \(No such file or directory\)"):
        write_rows(tmp_path / "none" / "out.jsonl", [])


def test_a_full_disk_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="No space left"), replacing(tmp_path / "out.jsonl"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_prompts_are_read_answered_or_not():
    assert parse_prompt(line(prompt="Q")) == "Q"
    assert parse_prompt(chat(("user", "Q"), ("assistant", "A"))) == "Q"
    with pytest.raises(ValueError, match="not text"):
        parse_prompt(line(prompt=3))
