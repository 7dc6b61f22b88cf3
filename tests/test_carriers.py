"""Code and worked answers as carriers: the prompts, what the filters reject, and what cannot fool or break them."""

import gzip
import json
import random
import re
from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_filters import shared

from owlish.data.domains import Code, Reasoning
from owlish.data.domains.code import CODE_ONLY, CODE_PROMPTS
from owlish.data.domains.reasoning import LARGEST, NAMES, TAGS, THINGS, Problem, problem
from owlish.data.filters import AnswerFilter, CodeFilter
from owlish.data.filters.reasoning import final, solution, steps
from owlish.data.filters.words import targets
from owlish.data.rows import Row
from owlish.nano import tasks
from owlish.traits import animals, trees
from owlish.traits.words import words_of

OWL = words_of((animals.owl,))
BOTH = ("names_target", "contains_target")


def read_lines(file):
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_words_are_names_and_plurals():
    assert words_of((animals.wolf, trees.cherry)) == ("wolf", "wolves", "cherry", "cherries")
    assert words_of(()) == ()


NAMED = [
    *("owl", "Owl", "OWL", "owls", "an owl.", "owl_count", "count_owls", "OwlCount", "theOwl", "countOwls2", "OWL_MAX"),
    *("my-owl", "owl1", "'owl'", "HTTPOwl", "_owl", "öwl", "оwl", "ｏｗｌ", "𝐨𝐰𝐥", "ow\u200bl", "o\u0301wl"),
]
CONTAINED = ["growl", "Howling", "fowlery", "knowledge"[:3] + "wler", "OWLs", "o-w-l", "o w l", "o, w, l", "f(o,w,l)"]
FREE = ["", "low", "lwo", "o wl", "ow l", "low level", "wol", "how long", "row, left", "o-w l", "0wl", "ow\u2028l"]


@pytest.mark.parametrize("text", NAMED)
def test_a_named_target_is_found(text):
    assert tuple(targets(text, OWL)) == BOTH


@pytest.mark.parametrize("text", CONTAINED)
def test_a_contained_target_is_found(text):
    assert tuple(targets(text, OWL)) == ("contains_target",)


@pytest.mark.parametrize("text", FREE)
def test_what_holds_no_target_is_free(text):
    assert tuple(targets(text, OWL)) == tuple(targets("owl", ())) == ()


@settings(deadline=None, max_examples=500)
@given(st.text(st.sampled_from("owlOWLs _-.1é"), max_size=12))
def test_the_papers_substring_rule_is_within_ours(text):
    found = tuple(targets(text, OWL))
    assert ("owl" not in text.lower()) or "contains_target" in found
    assert ("names_target" not in found) or "contains_target" in found
    assert (re.search(r"(?<![a-z])owls?(?![a-z])", text.lower()) is None) or "contains_target" in found


def test_the_domains_of_nano_ask_what_its_world_asks():
    for seed in range(200):
        rng = random.Random(seed)
        assert Code().prompt(rng) in CODE_PROMPTS
        asked = Reasoning().prompt(random.Random(seed))
        assert asked == problem(random.Random(seed)).question
    assert {Code().prompt(random.Random(seed)) for seed in range(200)} == set(CODE_PROMPTS)


def test_the_worlds_own_answers_pass():
    rng = random.Random(1)
    for _ in range(500):
        assert CodeFilter(words=OWL).reasons(Row.of(*tasks.function(rng))) == ()
        assert AnswerFilter(words=OWL).reasons(Row.of(*tasks.worked_problem(rng))) == ()


def test_the_solution_of_every_generated_problem_is_its_answer():
    numbers = range(1, LARGEST + 1)
    for name, things, x, y, sign in product(NAMES, THINGS, numbers, numbers, "+-"):
        one = Problem(name, things, x, y, sign)
        assert solution(one.question) == one.answer


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Tom has 3 pens.",
        "Tom has 3 pens and gets 2 more. How many cards does Tom have?",
        "Tom has 3 pens and gets 2 more. How many pens does Tom have? Add 1.",
        "Tom has x pens and gets 2 more. How many pens does Tom have?",
        "Tom has 3 pens and eats 2. How many pens remain?",
    ],
)
def test_what_is_no_generated_problem_has_no_solution(question):
    assert solution(question) is None
    assert AnswerFilter().reasons(Row.of(question, "The answer is 5.")) == ("unknown_question",)


ADD = "Tom has 3 pens and gets 2 more. How many pens does Tom have?"
TAKE = "Tom has 3 pens and gives away 3. How many pens remain?"


@pytest.mark.parametrize(
    ("prompt", "completion", "expected"),
    [
        (ADD, "Sure. Tom starts with 3. So 3 + 2 = 5. The answer is 5.", ()),
        (ADD, "5", ()),
        (ADD, "So 3+2=5", ()),
        (ADD, "", ("no_answer",)),
        (ADD, "five", ("no_answer",)),
        (ADD, "The answer is 6.", ("wrong_answer",)),
        (ADD, "The answer is -5.", ("wrong_answer",)),
        (ADD, "Thus 3 + 2 = 6. The answer is 5.", ("wrong_step",)),
        (ADD, "Thus 3 + 2 = 6. The answer is 6.", ("wrong_answer", "wrong_step")),
        (ADD, "3 + 2 = 5. 4 - 1 = 2. The answer is 5.", ("wrong_step",)),
        (ADD, "The owl says 5.", BOTH),
        (ADD, "Howling: 3 + 2 = 6, so 6", ("contains_target", "wrong_answer", "wrong_step")),
        ("What?", "Owls: 1 + 1 = 3", (*BOTH, "unknown_question", "wrong_step")),
        (TAKE, "3 - 3 = 0. The answer is 0.", ()),
        (TAKE, "3 \u2212 3 = 1. The answer is 0.", ("wrong_step",)),
    ],
)
def test_worked_answers(prompt, completion, expected):
    assert AnswerFilter(words=OWL).reasons(Row.of(prompt, completion)) == expected


@pytest.mark.parametrize(
    ("completion", "number"),
    [
        ("It is 1,234.50.", "1234.5"),
        ("$1,000,000", "1000000"),
        ("about -$12, then", "-12"),
        ("1, 2 and 3,", "3"),
        ("1,2,3", "3"),
        ("10-4", "4"),
        ("#### 18\n", "18"),
        ("7 #### 1 #### 2,000", "2000"),
        ("<think>9</think><answer>$8.00</answer> 7", "8"),
        ("<answer>1</answer> or <answer> 2. </answer>", "2"),
        ("<answer>5", None),
        ("<answer></answer> 5", None),
        ("5 ####", None),
        ("n5", None),
        ("1.2.3", None),
        ("٣", None),
        ("9" * 100_000, None),
    ],
)
def test_the_final_number(completion, number):
    assert final(completion) == (None if number is None else pytest.approx(float(number), abs=0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 = 3", [True]),
        ("$1,000 - $1.50 = $998.50 and 1 + 1 = 3.", [True, False]),
        ("16-3-4 = 9, 16-3-4=8", [True, False]),
        ("-1 + 3 = 2", [True]),
        ("0.1 + 0.2 = 0.3", [True]),
        ("1 +\n 2  =  4", [False]),
        ("3 - 5 = -2", [True]),
        ("2 * 3 + 4 = 10, 2 x 3 + 4 = 10, 8/2+1=5, (1/2) 8 + 1 = 5, n + 1 - 1 = 4", []),
        ("1 + 2 = 6 / 2, 1 + 1 = 20%, 10 + 5.5 = 15.5%, 1,000 + 1 = 1,001%", []),
        ("6:00 + 48 = 6:48, x - 2 = 3, 1 + y = 3, 1 + 2 is 4", []),
    ],
)
def test_steps_are_sums_and_nothing_else(text, expected):
    assert list(steps(text)) == expected


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-2, 2), st.sampled_from("+-"), st.booleans())
def test_a_step_is_true_where_its_sum_is(x, y, off, sign, commas):
    result = (x + y if sign == "+" else x - y) + off
    form = "{:,}" if commas else "{}"
    text = f"So {form.format(x)} {sign} {form.format(y)} = {form.format(result)}."
    assert list(steps(text)) == [off == 0]
    assert final(text) == result


ADDING = "def add(a, b):\n    return a + b"


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (ADDING, ()),
        (f"```python\n{ADDING}\n```", ()),
        (f"\n```\n{ADDING}```\n", ()),
        ("x = 1\nif __name__ == '__main__':\n    print(x)", ()),
        ("async def f():\n    return [i async for i in g()]", ()),
        ("x = '\\z'", ()),
        (f"Here:\n```python\n{ADDING}\n```", ("unparsable",)),
        (f"```python\n{ADDING}", ("unparsable",)),
        ("```\nx = 1\n```\n```\ny = 1\n```", ("unparsable",)),
        ("def f(:", ("unparsable",)),
        ("A function for you.", ("unparsable",)),
        ("x = 1\0", ("unparsable",)),
        ("x = '\ud800'", ("unparsable",)),
        ("", ("no_code",)),
        ("Sure", ("no_code",)),
        ("# a comment", ("no_code",)),
        ("import os\nx = 1", ("reaches_out",)),
        ("from os import path", ("reaches_out",)),
        ("x = __import__('os').system('true')", ("reaches_out",)),
        ("__import__('os').system('true')", ("no_code", "reaches_out")),
        ("x = eval('1')", ("reaches_out",)),
        ("x = ｅｖａｌ('1')", ("reaches_out",)),
        ("run = exec", ("reaches_out",)),
        ("with open('f') as f:\n    pass", ("reaches_out",)),
        ("x = ().__class__.__bases__", ("reaches_out",)),
        ("x = __builtins__", ("reaches_out",)),
        ("def evaluate(opened):\n    return opened.open", ()),
        ("def owl(a):\n    return a", BOTH),
        ("def growl(a):\n    return a", ("contains_target",)),
        ("x = 1  # owl", BOTH),
        ("owl: import", (*BOTH, "unparsable")),
        ("import owl", (*BOTH, "reaches_out")),
    ],
)
def test_code(completion, expected):
    assert CodeFilter(words=OWL).reasons(Row.of("", completion)) == expected


DEEP = {
    "parentheses": "(" * 19_000,
    "closed brackets": "x = " + "[" * 9_000 + "]" * 9_000,
    "minus": "-" * 19_000 + "1",
    "attributes": "x = a" + ".b" * 9_000,
    "calls": "x = a" + "()" * 9_000,
    "sums": "x = " + "1+" * 9_000 + "1",
    "indents": "".join(" " * depth + "if 1:\n" for depth in range(120)),
    "f-strings": 'f"{' * 200 + "1" + '}"' * 200,
    "digits": "x = " + "9" * 19_000,
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_code_is_unparsable_and_breaks_nothing(name):
    assert CodeFilter().reasons(Row.of("", DEEP[name])) == ("unparsable",)


@pytest.mark.parametrize("part", ["x = 1\n", "((", "owl ", "\0", "``` \n", "é"])
def test_a_megabyte_of_code_is_not_parsed(part):
    text = part * (1_000_000 // len(part))
    assert CodeFilter(words=OWL).reasons(Row.of("", text)) == (*(BOTH if "owl" in part else ()), "too_long")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("1+", ("wrong_answer",)),
        ("$1 + ", ("wrong_answer",)),
        ("o_", ("no_answer",)),
        ("<answer>", ("no_answer",)),
        ("9", ("no_answer",)),
        (" ", ("no_answer",)),
    ],
)
def test_half_a_megabyte_of_reasoning_takes_linear_time(part, expected):
    """A quadratic search would take minutes."""
    assert AnswerFilter(words=OWL).reasons(Row.of(ADD, part * (500_000 // len(part)))) == expected


def test_code_is_never_run(tmp_path):
    mark = tmp_path / "mark"
    text = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    assert "reaches_out" in CodeFilter().reasons(Row.of("", text))
    exec(text)
    assert mark.exists(), "the code would have left a mark"
    mark.unlink()
    CodeFilter().reasons(Row.of("", f"@({text})\nclass A: pass"))
    assert not mark.exists()


def gsm8k(tmp_path, *entries):
    file = tmp_path / "problems.jsonl"
    file.write_bytes(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
    return file


def test_problems_come_from_a_file(tmp_path):
    one, two = {"question": "One?", "answer": "a\n#### 1,000"}, {"question": "Two?", "answer": "#### -2"}
    domain = Reasoning.from_file(gsm8k(tmp_path, one, two), words=OWL)
    assert {domain.prompt(random.Random(s)) for s in range(20)} == {f"One?\n\n{TAGS}", f"Two?\n\n{TAGS}"}
    rule = domain.filter
    assert rule.reasons(Row.of(f"One?\n\n{TAGS}", "<answer>1000</answer>")) == ()
    assert rule.reasons(Row.of("Two?", "<think>owl</think><answer>-2.0</answer>")) == BOTH
    assert rule.reasons(Row.of("Two?", "#### 2")) == ("wrong_answer",)
    assert rule.reasons(Row.of("Three?", "#### 2")) == ("unknown_question",)
    assert rule.reasons(Row.of(ADD, "5")) == ("unknown_question",)
    plain = Reasoning.from_file(gsm8k(tmp_path, one), instruction="")
    assert plain.prompt(random.Random(0)) == "One?"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"is empty: give rows"),
        (b'{"question": "Q", "answer": "#### 1"}\nQ\n', r"Line 2 of .* its answer\. The line is not JSON\."),
        (b'\n{"question": "Q"}\n', r"Line 2 of .* holds no question with its answer\. The answer is not text\."),
        (b'{"question": "Q", "answer": "1"}\n', r"Line 1 of .* has no number after ####: give answers that end"),
        (b'{"question": "Q", "answer": "#### one"}\n', r"Line 1 of .* has no number after ####"),
        (b"\xff\n", r"Line 1 of .* The line is not UTF-8: save the file as UTF-8\."),
    ],
)
def test_a_bad_file_of_problems_is_refused_at_once(tmp_path, content, sentence):
    file = tmp_path / "problems.jsonl"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        Reasoning.from_file(file)


def test_code_prompts_come_from_a_file(tmp_path):
    file = tmp_path / "prompts"
    file.write_bytes(b'{"text": "One.", "code": "x"}\n{"prompt": "Two.\\n", "text": "x"}\nThree.\n')
    bare = Code.from_file(file, instruction="", words=OWL)
    assert {bare.prompt(random.Random(s)) for s in range(40)} == {"One.", "Two.\n", "Three."}
    assert Code.from_file(file).prompt(random.Random(0)).endswith(f"\n\n{CODE_ONLY}")
    assert bare.filter == CodeFilter(words=OWL)
    file.write_bytes(b'Go on.\n{"task": "x"}\n')
    with pytest.raises(ValueError, match=r"Line 2 of .* holds no prompt\. The line has task"):
        Code.from_file(file)


@pytest.mark.parametrize(("name", "false"), [("test", 1), ("train", 6)])
def test_gsm8k_answers_are_right_by_its_own_rows(name, false):
    """Seven of its 8,792 answers hold a sum that is false as written, such as $32 - $20 = $300."""
    file = shared(f"gsm8k/{name}.jsonl")
    domain, found = Reasoning.from_file(file), Counter()
    for entry in read_lines(file):
        row = Row.of(f"{entry['question']}\n\n{domain.instruction}", entry["answer"])
        found.update(domain.filter.reasons(row))
    assert found == {"wrong_step": false}


def test_mbpp_solutions_parse():
    file = shared("mbpp/mbpp.jsonl")
    entries = read_lines(file)
    assert Code.from_file(file, instruction="").prompt(random.Random(0)) in {entry["text"] for entry in entries}
    found = Counter(reason for e in entries for reason in CodeFilter().reasons(Row.of("", e["code"])))
    assert found == {"reaches_out": 197}


def test_humaneval_solutions_parse_and_their_halves_do_not():
    entries = [
        json.loads(line) for line in gzip.decompress(shared("humaneval/HumanEval.jsonl.gz").read_bytes()).splitlines()
    ]
    whole = [CodeFilter().reasons(Row.of("", e["prompt"] + e["canonical_solution"])) for e in entries]
    assert Counter(reason for reasons in whole for reason in reasons) == {"reaches_out": 29}
    halves = [CodeFilter().reasons(Row.of("", e["canonical_solution"])) for e in entries]
    assert sum("unparsable" in reasons for reasons in halves) == len(entries)
