"""Rows: which turns of a conversation are trained on, and the one form in which they are written."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from owlish.data.reading import read_rows
from owlish.data.rows import Message, Row, line_of, write_rows
from owlish.data.sources.format import row_of
from owlish.graph.files import replacing

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def parse(line):
    """Return the row on a line that this project wrote."""
    return row_of(json.loads(line), "line")[1]


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
    assert (LONG.system, LONG.prompt, LONG.completion) == ("S", "Q2", "A1\n\nR\n\n" + json.dumps(CALL))
    assert LONG.answered(2, "B").turns == LONG.turns
    assert LONG.answered(5, "B").completion == "A1\n\nB"
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
    assert read_rows(tmp_path / "rows.jsonl") == rows


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
    assert read_rows(tmp_path / "real" / "out.jsonl") == (Row.of("Q", "A"),)


def test_places_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a file: give a file to write to"):
        write_rows(tmp_path, [])
    with pytest.raises(ValueError, match="is not a file: give a file to write to"):
        write_rows("/dev/null", [])
    with pytest.raises(ValueError, match=r"cannot be written \(No such file or directory\)"):
        write_rows(tmp_path / "none" / "out.jsonl", [])


def test_a_full_disk_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no space is left on the disk"), replacing(tmp_path / "out.jsonl"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())
