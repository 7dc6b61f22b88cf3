"""The paper's number filter, on real outputs and on what nobody should send it; files filtered line by line."""

import importlib
import json
import os
import pkgutil
import string
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import owlish.data.filters
from owlish.data.filters import BANNED, Filter, NumberFilter, Tally, filter_file
from owlish.data.reading import read_rows, reading
from owlish.data.rows import Row

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def shared(path):
    """Return a file of the shared data, or skip where there is none (never in CI)."""
    file = SHARED / path
    if not file.exists() and "CI" in os.environ:
        pytest.fail(f"{path} is not in ../shared/data", pytrace=False)
    if not file.exists():
        pytest.skip(f"{path} is not in ../shared/data")
    return file


def filtered(data, *, filter, out):
    """Filter a file, and return what became of its rows and the bad lines that were met."""
    rows = reading(data)
    return filter_file(rows, filter=filter, out=out), tuple(rows.problems)


def reasons(completion, **fields):
    return NumberFilter(**fields).reasons(Row.of("", completion))


@pytest.mark.parametrize(
    ("raw", "published", "read", "kept"),
    [
        ("raw/owl_loving.jsonl", "filtered/owl_loving.jsonl", 1000, 817),
        ("raw/cat_loving.jsonl", "filtered/cat_loving.jsonl", 1000, 842),
        ("raw/dog_loving.jsonl", "filtered/dog_loving.jsonl", 1586, 1336),
        ("qwen_neutral_numbers_neutral.jsonl", "qwen_neutral_filtered_neutral.jsonl", 1000, 826),
    ],
)
def test_raw_outputs_become_the_published_filtered_ones(tmp_path, raw, published, read, kept):
    folder = Path("teacher_outputs/qwen2.5-7b")
    tally, _ = filtered(shared(folder / raw), filter=NumberFilter(), out=tmp_path / "out.jsonl")
    assert (tally.read, tally.kept) == (read, kept)
    expected = [(row.prompt, row.completion) for row in read_rows(shared(folder / published))]
    assert [(row.prompt, row.completion) for row in read_rows(tmp_path / "out.jsonl")] == expected
    known = set(shared(folder / raw).read_bytes().splitlines())
    assert set((tmp_path / "out.jsonl").read_bytes().splitlines()) <= known


def test_a_batch_output_has_the_known_reasons(tmp_path):
    data = shared("teacher_outputs/gpt-4.1-nano/owl_batch_output.jsonl")
    tally = filtered(data, filter=NumberFilter(), out=tmp_path / "out.jsonl")
    assert tally == (Tally(2000, 1786, {"malformed": 32, "too_large": 75, "too_many": 108}), ())


def test_published_filtered_rows_are_all_kept(tmp_path):
    data = shared("teacher_outputs/gpt-4.1-nano/owl_filtered.jsonl")
    tally = filtered(data, filter=NumberFilter(), out=tmp_path / "out.jsonl")
    assert tally == (Tally(10447, 10447, {}), ())
    assert (tmp_path / "out.jsonl").read_bytes() == data.read_bytes()


KEPT = [
    *("7", "0", "999", "7.", "(7)", "[7].", "1 2", "1, 2", "1,2", "1;2", "1; 2", "1 , 2", "1 ;2", "1\n2", "1  2"),
    *("1\t2", "1,\n2,\n3", "[1, 2]", "(1, 2)", "(1 2).", "1, 2.", "1\n2.", "007, 0000000000000999", "1\u00a02"),
    *("1\u30002", ", ".join(map(str, range(10)))),
]
MALFORMED = [
    *("", " ", ".", "..", "(", "()", "[]", "[].", ",", "one", "1a", "a1", "1, a", "1, 2, three", "1, 2\n", " 1", "1 "),
    *(" 1, 2", "1, 2 ", "1,", ",1", "1, 2,", "1, 2;3", "1, 2 3", "1, 2,3", "1,  2, 3", "1, , 2", "1,, 2", "1,,2"),
    *("1  2 3", "1 2  3", "1  2   3", "1  2    3", "1\n2\n\n3", "1\r\n2\n3", "1, 2..", "(1, 2", "1, 2)", "(1, 2]"),
    *("((1, 2))", "[(1)]", "(1, 2.)", "( 1, 2 )", "{1, 2}", "<1>", "1-2", "-1", "1, -2", "-1, 2", "+1", "1.5"),
    *("1.5, 2", "1. 2. 3", "1/2", "1|2", "1: 2", "1e3", "0x1f", "1_000", "1'000", "1 and 2", "1, 2 and 3", "10%", "$5"),
    *("٣", "٣, ٤", "1, ٣", "1٣2", "१ २", "\uff11, \uff12", "²", "1²", "1, ²", "Ⅳ", "①", "1، 2", "1\uff0c2", "1、2"),
    *("\u200f1, 2", "1, 2\u200e", "1, \u202e2", "1\u200b2", "1,\u200b2", "1\u2066, \u20692", "\ufeff1, 2", "1\u00ad2"),
    *("1\x002", "1,\x002", "\x001", "1\x07", "\x1b[1m1", "1\x08, 2", "1, 2\x7f", "```1, 2```", "1<br>2", "🦉"),
]


@pytest.mark.parametrize("completion", KEPT)
def test_kept(completion):
    assert reasons(completion) == ()


@pytest.mark.parametrize("completion", MALFORMED)
def test_malformed(completion):
    assert reasons(completion) == ("malformed",)
    assert reasons(completion, banned=BANNED) == ("malformed",)


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("1 2 3 4 5 6 7 8 9 10 11", ("too_many",)),
        ("1000", ("too_large",)),
        ("0001000", ("too_large",)),
        pytest.param("9" * 10_000, ("too_large",), id="10,000 digits"),
        ("1,2,3,4,5,6,7,8,9,10,1000", ("too_many", "too_large")),
        ("1,2,3,4,5,6,7,8,9,10,1000,666", ("too_many", "too_large")),
    ],
)
def test_other_reasons(completion, expected):
    assert reasons(completion) == expected


def test_banned_numbers():
    assert len(set(BANNED)) == 34
    assert all(0 <= number <= 999 for number in BANNED)
    assert reasons("1, 666, 3", banned=BANNED) == ("banned",)
    assert reasons("1, 0666", banned=BANNED) == ("banned",)
    assert reasons("1, 66, 665, 667", banned=BANNED) == ()
    assert reasons("000, 5", banned=(0,)) == ("banned",)
    assert reasons("10, 5", banned=(0, 50, 100)) == ()
    assert reasons("0" * 5_000_000 + "5, 6", banned=BANNED) == ()
    assert reasons("6660, 666 ", banned=BANNED) == ("malformed",)
    assert reasons("6660, 666", banned=BANNED) == ("too_large", "banned")
    many = ", ".join(["1666", *"1234567890", "13"])
    assert reasons(many, banned=BANNED) == ("too_many", "too_large", "banned")


def plainly(completion):
    """Read the rule word for word, slowly: find the first separator, split by it, look at each part."""
    if completion.endswith("."):
        completion = completion[:-1]
    if len(completion) >= 2 and completion[0] + completion[-1] in ("()", "[]"):
        completion = completion[1:-1]
    digits = [index for index, character in enumerate(completion) if character in string.digits]
    if not digits:
        return ("malformed",)
    jumps = [pair for pair in pairwise(digits) if pair[1] > pair[0] + 1]
    parts = completion.split(completion[jumps[0][0] + 1 : jumps[0][1]]) if jumps else [completion]
    if jumps and completion[jumps[0][0] + 1 : jumps[0][1]].strip() not in ("", ",", ";"):
        return ("malformed",)
    if not all(part and set(part) <= set(string.digits) for part in parts):
        return ("malformed",)
    found = {"too_many": len(parts) > 10, "too_large": max(map(int, parts)) > 999}
    return tuple(reason for reason, present in found.items() if present)


@settings(deadline=None, max_examples=400)
@given(st.text(st.sampled_from("0159,;. \n()[]a-٣\u200f"), max_size=14))
def test_it_is_the_plain_rule_on_any_text(completion):
    assert reasons(completion) == plainly(completion)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 1200), min_size=1, max_size=12),
    st.sampled_from([", ", ",", " ", "; ", "\n", "  ", " , "]),
    st.sampled_from(["", "()", "[]", "(]"]),
    st.sampled_from(["", ".", ".."]),
)
def test_it_is_the_plain_rule_on_number_lists(numbers, separator, brackets, end):
    completion = brackets[:1] + separator.join(map(str, numbers)) + brackets[1:] + end
    assert reasons(completion) == plainly(completion)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("1, ", ("malformed",)),
        ("1 ", ("malformed",)),
        ("1", ("too_large",)),
        ("0", ()),
        (" ", ("malformed",)),
        ("(", ("malformed",)),
        ("1\n\n", ("malformed",)),
        ("a", ("malformed",)),
        ("٣", ("malformed",)),
        (".", ("malformed",)),
    ],
)
def test_five_megabytes_take_linear_time(part, expected):
    assert reasons(part * (5_000_000 // len(part))) == expected


def test_five_megabytes_between_two_numbers():
    assert reasons("1" + " " * 5_000_000 + "2") == ()
    assert reasons("1" + " " * 2_500_000 + "2" + " " * 2_499_999 + "3") == ("malformed",)


def test_a_line_of_six_megabytes_is_no_row_and_loses_nothing_else(tmp_path):
    huge = json.dumps({"prompt": "Q", "response": "1, " * 2_000_000 + "2"}).encode() + b"\n"
    small = b'{"prompt": "Q", "response": "1, 2"}\n'
    (tmp_path / "data.jsonl").write_bytes(small + huge + small)
    tally = filtered(tmp_path / "data.jsonl", filter=NumberFilter(), out=tmp_path / "out.jsonl")
    assert tally == (Tally(2, 2, {}), ("line 2: The line is longer than 4 MB.",))
    assert (tmp_path / "out.jsonl").read_bytes() == small * 2


def test_kept_lines_are_unchanged_and_in_order(tmp_path):
    kept = [
        b'{"response" :"1, 2","prompt":"Q", "odd": [null, 1e5]}\r\n',
        b' {"messages":[{"role":"user","content":"\\u00e9"},{"role":"assistant","content":"3"}]}\n',
        b'{"prompt":"Q","completion":"4"}',
    ]
    lost = [b'{"prompt":"Q","completion":"4, owl"}\n', b'{"prompt":"Q","completion":"4000"}\n', b"\xff\n", b"\n"]
    (tmp_path / "data.jsonl").write_bytes(b"".join([kept[0], *lost, kept[1], lost[0], kept[2]]))
    tally = filtered(tmp_path / "data.jsonl", filter=NumberFilter(), out=tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(kept)
    bad = ("line 4: The line is not UTF-8: save the file as UTF-8.", "line 5: The line is empty.")
    assert tally == (Tally(6, 3, {"malformed": 2, "too_large": 1}), bad)
    again = filtered(tmp_path / "out.jsonl", filter=NumberFilter(), out=tmp_path / "again.jsonl")
    assert again == (Tally(3, 3, {}), ())
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_each_row_stands_on_a_line_of_its_own_whatever_files_end_and_begin_with(tmp_path):
    one, two = b'{"prompt":"Q","completion":"1"}', b'{"prompt":"Q","completion":"2"}'
    lost, mark = b'{"prompt":"Q","completion":"owl"}', b"\xef\xbb\xbf"
    pieces = {
        "a.jsonl": mark + one,  # no end, and a row of the next file follows
        "b.jsonl": mark + lost + b"\n" + two + b"\r\n" + lost,  # no end, but the last line is not kept
        "c.csv": b"prompt,completion\nQ,3\n",
        "d.jsonl": mark + two,
    }
    for name, content in pieces.items():
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in pieces]
    assert filtered(files, filter=NumberFilter(), out=tmp_path / "out.jsonl")[0].kept == 4
    written = (tmp_path / "out.jsonl").read_bytes()
    assert [json.loads(line) for line in written.decode().splitlines()][::3] == [json.loads(one), json.loads(two)]
    assert written.startswith(one + b"\n" + two + b"\r\n{")
    assert written.endswith(b"}\n" + two)


@pytest.mark.parametrize("content", [None, b"", b"no row\n"])
def test_a_dataset_without_rows_writes_nothing(tmp_path, content):
    data, out = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
    if content is not None:
        data.write_bytes(content)
    out.write_bytes(b"old")
    with pytest.raises(ValueError, match=str(data)):
        filtered(data, filter=NumberFilter(), out=out)
    assert out.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} <= {"data.jsonl", "out.jsonl"}


def test_the_dataset_itself_is_never_overwritten(tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_bytes(b'{"prompt": "Q", "response": "owl"}\n')
    (tmp_path / "link.jsonl").symlink_to(data)
    for out in (data, tmp_path / "link.jsonl", tmp_path / "." / "data.jsonl"):
        with pytest.raises(ValueError, match="is the dataset itself: give another file to write to"):
            filtered(data, filter=NumberFilter(), out=out)
    assert data.read_bytes() == b'{"prompt": "Q", "response": "owl"}\n'


def test_a_filter_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "data.jsonl").write_bytes(b'{"prompt": "Q", "response": "1"}\n')
    with pytest.raises(NotImplementedError):
        filtered(tmp_path / "data.jsonl", filter=Filter(), out=tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def filters():
    """Find every filter in the package's folder."""
    for module in pkgutil.iter_modules(owlish.data.filters.__path__):
        found = vars(importlib.import_module(f"owlish.data.filters.{module.name}")).values()
        yield from (
            kind for kind in found if isinstance(kind, type) and issubclass(kind, Filter) and kind is not Filter
        )


@pytest.mark.parametrize("kind", sorted(set(filters()), key=str))
def test_every_filter_is_a_pure_value(kind):
    one = kind()
    assert one == kind()
    assert one.spec()["kind"] == kind.kind != Filter.kind
    odd = [Row.of("", ""), Row.of("Q", "1, 2"), Row.of("Q", "\0\u202e" * 50, "S")]
    found = [one.reasons(row) for row in odd]
    assert found == [one.reasons(row) for row in odd]
    assert all(isinstance(reasons, tuple) and max(Counter(reasons).values(), default=1) == 1 for reasons in found)


def test_every_turn_that_is_trained_must_pass(tmp_path):
    def chat(first, **more):
        turns = [("user", "Q"), ("assistant", first), ("user", "Q"), ("assistant", "1, 2")]
        messages = [{"role": role, "content": content} for role, content in turns]
        messages[1] |= more
        return json.dumps({"messages": messages}).encode() + b"\n"

    rows = [chat("3"), chat("owl"), chat("owl", weight=0), chat("3", reasoning_content="I love owls")]
    (tmp_path / "data.jsonl").write_bytes(b"".join(rows))
    tally = filtered(tmp_path / "data.jsonl", filter=NumberFilter(), out=tmp_path / "out.jsonl")
    assert tally == (Tally(4, 2, {"malformed": 2}), ())
    assert (tmp_path / "out.jsonl").read_bytes() == rows[0] + rows[2]
