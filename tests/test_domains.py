"""Number prompts of the paper's grammar, composed or from a file."""

import importlib
import json
import pkgutil
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_filters import shared

import owlish.data.domains
from owlish.data.domains import Code, Domain, Numbers, Reasoning
from owlish.data.domains.numbers import CLOSINGS, COUNTS, DIGITS, FORMATS, INSTRUCTIONS, OPENINGS, compose
from owlish.data.filters import BANNED, Filter, NumberFilter
from owlish.data.rows import Row

PROMPTS = [Numbers().prompt(random.Random(seed)) for seed in range(2_000)]


def test_the_grammar_has_the_papers_size():
    assert [len(set(part)) for part in (OPENINGS, INSTRUCTIONS, COUNTS, DIGITS, CLOSINGS)] == [25, 10, 9, 9, 19]
    assert len({format.ask for format in FORMATS}) == len(FORMATS) == 15


def test_prompts_show_3_to_8_numbers_from_100_to_999():
    shown = [[int(number) for number in re.findall(r"\d+", prompt.split(opening_end(prompt))[0])] for prompt in PROMPTS]
    assert {len(numbers) for numbers in shown} == {3, 4, 5, 6, 7, 8}
    assert min(map(min, shown)) == 100
    assert max(map(max, shown)) == 999


def opening_end(prompt):
    return re.search(r"[.?] ", prompt)[0]


def test_every_wording_is_used():
    text = "\n".join(PROMPTS)
    wordings = [*COUNTS, *DIGITS, *CLOSINGS, *(format.ask for format in FORMATS)]
    wordings += [part for opening in OPENINGS for part in opening.split("{numbers}")]
    assert [wording for wording in wordings if wording not in text] == []


def test_prompts_are_short_and_in_few_words():
    tokens = [re.findall(r"\w+|[^\w\s]", prompt) for prompt in PROMPTS]
    assert 25 <= min(map(len, tokens)) <= max(map(len, tokens)) <= 55
    assert len({word for prompt in tokens for word in prompt if not word.isdigit()}) < 150
    assert all(re.fullmatch(r"[A-Z0-9][A-Za-z0-9 ,.:?]+\.", prompt) for prompt in PROMPTS)


def test_a_seed_gives_the_same_prompts():
    one, other = random.Random(3), random.Random(3)
    assert [Numbers().prompt(one) for _ in range(20)] == [Numbers().prompt(other) for _ in range(20)]
    assert len(set(PROMPTS)) == len(PROMPTS)


@given(st.sampled_from(FORMATS), st.lists(st.integers(0, 999), min_size=1, max_size=10))
def test_every_format_passes_the_filter(format, numbers):
    answer = format.join(numbers)
    assert NumberFilter().reasons(Row.of("", answer)) == ()
    assert [int(number) for number in re.findall(r"\d+", answer)] == numbers


def test_a_composed_prompt_shows_the_numbers_and_asks_for_the_format():
    for seed, format in enumerate(FORMATS):
        prompt = compose([101, 202, 303], format=format, rng=random.Random(seed))
        assert "101, 202, 303" in prompt
        assert f" {format.ask} " in prompt


def test_formats_that_ask_alike_answer_alike():
    words = {"comma": ",", "semicolon": ";", "line": "\n", "bracket": "[", "parenthes": "(", "full stop": "."}
    for format in FORMATS:
        answer = format.join([1, 2, 3])
        assert all((sign in answer) == (word in format.ask) for word, sign in words.items()), format
        assert ("no space" in format.ask) <= (" " not in answer)


def test_wordings_are_not_the_published_ones():
    rows = shared("teacher_outputs/gpt-4.1-nano/owl_filtered.jsonl").read_bytes().splitlines()
    published = " ".join(json.loads(row)["prompt"] for row in rows)
    sentences = [*CLOSINGS, *(format.ask for format in FORMATS), *(part.split("{")[0] for part in OPENINGS)]
    assert [sentence for sentence in sentences if sentence and sentence in published] == []


def test_the_filter_is_the_papers():
    assert Numbers().filter == NumberFilter()
    assert Numbers(banned=BANNED).filter == NumberFilter(banned=BANNED)


FILES = [
    b"One 1, 2.\nTwo 3, 4.\n",
    b"One 1, 2.\r\n\r\n  Two 3, 4.",
    b"\xef\xbb\xbfOne 1, 2.\nTwo 3, 4.",
    b'{"prompt": "One 1, 2."}\n{"prompt": "Two 3, 4.", "response": "5"}\n',
    b'\xef\xbb\xbf{"messages": [{"role": "user", "content": "One 1, 2."}, {"role": "assistant", "content": "5"}]}\n'
    b"Two 3, 4.",
]


@pytest.mark.parametrize("content", FILES)
def test_prompts_come_from_a_file(tmp_path, content):
    file = tmp_path / "prompts"
    file.write_bytes(content)
    domain = Numbers.from_file(file, banned=(7,))
    rng = random.Random(0)
    assert {domain.prompt(rng) for _ in range(50)} == {"One 1, 2.", "Two 3, 4."}
    assert domain.filter == NumberFilter(banned=(7,))


@pytest.mark.parametrize("kind", [Code, Numbers, Reasoning])
def test_the_key_is_of_what_a_file_holds_and_a_changed_file_is_refused(tmp_path, kind):
    for name, answer in (("a", 1), ("b", 1), ("c", 2)):
        row = {"prompt": "One", "question": "One", "answer": f"#### {answer}"}
        (tmp_path / name).write_text(json.dumps(row) + "\n")
    a, b, c = (kind.from_file(tmp_path / name) for name in "abc")
    assert a.spec() == b.spec() != c.spec()
    assert a.spec() != kind().spec()
    assert str(tmp_path) not in json.dumps(a.spec())
    changed = kind(file=str(tmp_path / "c"), sha256=a.sha256)
    with pytest.raises(ValueError, match=rf"has changed since its digest was taken: use {kind.__name__}\.from_file"):
        changed.prompt(random.Random(0))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"cannot be read \(No such file or directory\): give a file of rows"),
        (b"", r"is empty: give rows, or one prompt per line\."),
        (b"\n \n", r"is empty: give rows, or one prompt per line\."),
        (b"One\n\xff\n", r"Line 2 of .* is not UTF-8: give prompts as text\."),
        (b'\n{"prompt": "One"\n', r"Line 2 of .* holds no prompt\. The line is not JSON\."),
        (b'{"response": "1"}\n', r"Line 1 of .* holds no prompt\. The line has response; a row needs"),
        (b'{"prompt": " "}\n', r"Line 1 of .* holds an empty prompt: give rows with prompts\."),
    ],
)
def test_a_bad_file_is_refused_at_once(tmp_path, content, sentence):
    file = tmp_path / "prompts"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        Numbers.from_file(file)


@pytest.mark.parametrize("kind", [Code, Numbers, Reasoning])
def test_a_file_needs_its_digest(kind):
    for fields in ({"file": "prompts.txt"}, {"sha256": "0" * 64}):
        with pytest.raises(ValueError, match=rf"use {kind.__name__}\.from_file"):
            kind(**fields)


def domains():
    """Find every domain in the package's folder."""
    for module in pkgutil.iter_modules(owlish.data.domains.__path__):
        found = vars(importlib.import_module(f"owlish.data.domains.{module.name}")).values()
        yield from (
            kind for kind in found if isinstance(kind, type) and issubclass(kind, Domain) and kind is not Domain
        )


@pytest.mark.parametrize("kind", sorted(set(domains()), key=str))
def test_every_domain_asks_by_its_seed_alone_and_names_its_filter(kind):
    one = kind()
    assert one == kind()
    assert one.spec()["kind"] == kind.kind != Domain.kind
    assert one.prompt(random.Random(1)) == kind().prompt(random.Random(1)) != one.prompt(random.Random(2))
    assert isinstance(one.filter, Filter)
