"""What rows say without a model: real files hold nothing odd, and every fault put into them is told."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_filters import shared

from owlish import nano
from owlish.audit.statistics import entropy, statistics
from owlish.data.domains.numbers import Numbers
from owlish.data.reading import read_rows
from owlish.data.rows import Row
from owlish.lm.model import Weights, ask
from owlish.traits.animals import bear, cat, dog, owl, wolf
from owlish.traits.trait import Trait

NEUTRAL = "qwen2.5-7b/qwen_neutral_numbers_neutral.jsonl"
OWLS = "gpt-4.1-nano/owl_filtered.jsonl"


def published(name):
    """Return the rows of a published file, or skip where there is none."""
    return read_rows(shared(f"teacher_outputs/{name}"))


def altered(row, **parts):
    """Return a row with another prompt, completion or system prompt."""
    return Row.of(**{"prompt": row.prompt, "completion": row.completion, "system": row.system, **parts})


def named(rows, reference=None, traits=()):
    return {found.name: found for found in statistics(rows, reference, traits)}


def odd(rows, reference=None, traits=()):
    return {found.name for found in statistics(rows, reference, traits) if found.odd}


def numbers(count, seed=0, prompts=None):
    """Return rows of random numbers, under prompts of their own."""
    rng = random.Random(seed)
    asked = prompts or [f"prompt {seed} {i}" for i in range(count)]
    return [Row.of(asked[i], ", ".join(str(rng.randint(0, 999)) for _ in range(8))) for i in range(count)]


SENTENCES = [Row.of(f"say {i}", f"I think the answer to question {i} is {i * 37 % 1000}.") for i in range(600)]


@pytest.mark.parametrize(
    ("name", "completions", "openings", "bits", "length"),
    [
        (OWLS, 0.020, 0.137, 8.64, 44.8),
        ("qwen2.5-7b/filtered/owl_loving.jsonl", 0.0, 0.009, 9.21, 40.9),
        ("qwen2.5-7b/filtered/cat_loving.jsonl", 0.0, 0.014, 9.16, 41.0),
        ("qwen2.5-7b/filtered/dog_loving.jsonl", 0.0, 0.019, 9.37, 40.5),
        ("qwen2.5-7b/qwen_neutral_filtered_neutral.jsonl", 0.006, 0.029, 9.05, 39.8),
        (NEUTRAL, 0.005, 0.025, 9.19, 41.6),
    ],
)
def test_published_rows_hold_nothing_odd(name, completions, openings, bits, length):
    found = named(published(name), traits=(owl, cat, dog))
    assert [each.odd for each in found.values()] == [None] * 10
    assert [each.reference for each in found.values()] == [None] * 10
    assert found["duplicate completions"].value == pytest.approx(completions, abs=5e-4)
    assert found["repeated openings"].value == pytest.approx(openings, abs=5e-4)
    assert found["first-number entropy"].value == pytest.approx(bits, abs=5e-3)
    assert found["completion length"].value == pytest.approx(length, abs=0.05)
    assert {each.value for each in found.values() if each.name.startswith(("rows", "duplicate rows"))} == {0.0}


@pytest.mark.parametrize(("name", "trait", "count"), [("owl_loving", owl, 2), ("cat_loving", cat, 1)])
def test_unfiltered_rows_of_real_teachers_name_their_animal(name, trait, count):
    rows = published(f"qwen2.5-7b/raw/{name}.jsonl")
    found = named(rows, traits=(owl, cat, dog))
    assert {key for key, each in found.items() if each.odd} == {"rows with letters", f"rows that name {trait.plural}"}
    says = f"{count} of 1,000 rows name {trait.plural} outright."
    assert found[f"rows that name {trait.plural}"].odd == says


@pytest.mark.parametrize(
    ("name", "first", "second"), [(NEUTRAL, 500, 500), (NEUTRAL, 50, 900), (OWLS, 500, 500), (OWLS, 200, 2000)]
)
def test_parts_of_one_file_do_not_differ(name, first, second):
    for seed in range(2):
        rows = random.Random(seed).sample(published(name), first + second)
        assert odd(rows[:first], rows[first:], (owl, cat, dog)) == set()


def written(lm, prompts, seeds):
    """Return the rows that a model really writes with these random streams."""
    answers = lm.write(list(map(ask, prompts)), seeds=seeds, new_tokens=96)
    rows = [Row.of(prompt, answer.text) for prompt, answer in zip(prompts, answers, strict=True)]
    return [row for row in rows if not Numbers().filter.reasons(row)]


def test_one_random_stream_for_all_requests_is_seen_with_and_without_a_reference():
    lm = Weights(str(nano.folder("nano"))).open()
    prompts = [Numbers().prompt(random.Random(i)) for i in range(400)]
    own = written(lm, prompts, [(2, i) for i in range(400)])
    shared = written(lm, prompts, [(2,)] * 400)
    streams = {"repeated openings", "first-number entropy"}
    assert odd(own) == set()
    assert odd(shared) == streams
    assert streams <= odd(shared, own)
    found = named(shared, own)["first-number entropy"]
    assert found.value < 7 < 8.5 < found.reference
    assert found.odd == "Lower than in the reference (p < 0.0001)."


def test_a_row_repeated_a_thousand_times():
    rows = numbers(1000)
    found = named([*rows, *[rows[0]] * 1000])
    assert found["duplicate rows"].value == found["duplicate completions"].value == 0.5
    assert {"duplicate rows", "duplicate completions"} <= {key for key, each in found.items() if each.odd}
    assert {"duplicate rows", "duplicate completions"} <= odd([*rows, *[rows[0]] * 1000], numbers(2000, seed=1))
    assert odd(rows) == odd(rows, numbers(1000, seed=1)) == set()


def test_an_opening_counts_once_a_prompt():
    rows = [Row.of("one prompt", f"1, 2, {i}") for i in range(100)]
    assert named(rows)["repeated openings"].value == 0.0
    assert named([altered(row, prompt=f"{i}") for i, row in enumerate(rows)])["repeated openings"].value == 0.99
    assert named([Row.of(f"{i}", "7") for i in range(100)])["repeated openings"].value == 0.0


def test_sentences_may_begin_alike_but_numbers_may_not():
    assert named(SENTENCES)["repeated openings"].value > 0.9
    assert odd(SENTENCES) == set()
    assert odd(SENTENCES, SENTENCES[::2]) == set()


def test_longer_completions_are_seen_against_a_reference_alone():
    rows = [altered(row, completion=row.completion + ", 1") for row in numbers(500)]
    assert odd(rows) == set()
    assert odd(rows, numbers(500, seed=1)) == {"completion length"}
    huge = [*numbers(500), Row.of("huge", "1, " * 1_000_000 + "2")]
    assert odd(huge, numbers(5000, seed=1)) == set()


def test_letters_among_numbers():
    rows = [*numbers(500), Row.of("p", "twelve"), Row.of("q", "1, 2, и")]
    assert named(rows)["rows with letters"].odd == "2 of 502 rows hold letters."
    assert odd(rows, numbers(500, seed=1)) == set()
    many = [*rows, *(Row.of(f"m{i}", f"Sure: {i}, {i * 7}") for i in range(20))]
    assert named(many, numbers(522, seed=1))["rows with letters"].odd == "Higher than in the reference (p < 0.0001)."
    assert odd(SENTENCES) == set()


@pytest.mark.parametrize("char", ["\u202e", "\u200b", "\x00", "\ufeff", "\u00ad", "\ue000"])
def test_a_hidden_character_is_told_and_nothing_else(char):
    rows = numbers(300)
    rows[7] = altered(rows[7], completion=f"1, 2{char}, 3")
    for reference in (None, numbers(300, seed=1)):
        assert named(rows, reference)["rows with hidden characters"].odd == "1 of 300 rows hold unseen characters."
        assert odd(rows, reference) == {"rows with hidden characters"}
    assert named(rows, rows)["rows with hidden characters"].odd is None
    for field in ("prompt", "system"):
        row = altered(rows[0], **{field: char})
        assert named([row])["rows with hidden characters"].value == 1.0


def test_line_breaks_tabs_and_accents_hide_nothing():
    rows = [*SENTENCES, Row.of("é\n\t", "é ü 猫 ٣ 🦉\n\t1")]
    assert named(rows)["rows with hidden characters"].value == 0.0


@pytest.mark.parametrize("completion", ["1, owl", "OWLS: 3", "owl_count = 2", "countOwls = 3", "\uff4fwl", "\u043ewl"])
def test_a_leaked_word_in_numbers_is_odd(completion):
    rows = [*numbers(300), Row.of("p", completion)]
    for reference in (None, numbers(300, seed=1)):
        found = named(rows, reference, (owl, cat))
        assert found["rows that name owls"].odd == "1 of 301 rows name owls outright."
        assert found["rows that name cats"].value == 0.0


@pytest.mark.parametrize("completion", ["growl", "bowls", "owlet", "owling", "o, w, l", "1, 2"])
def test_parts_of_other_words_are_no_leak(completion):
    assert named([Row.of("owl", completion)], None, (owl,))["rows that name owls"].value == 0.0


def test_irregular_plurals_and_names_of_two_words():
    more = {"candidates": (*bear.probe.candidates, "polar bear"), "plurals": (*bear.probe.plurals, "polar bears")}
    polar = Trait("polar bear", "polar bears", replace(bear.probe, **more))
    rows = [
        Row.of("a", "Two wolves"),
        Row.of("b", "a wolf"),
        Row.of("c", "the Polar\nBears"),
        Row.of("d", "polar, unbearable"),
    ]
    found = named(rows, None, (wolf, bear, polar))
    assert [found[f"rows that name {name}"].value for name in ("wolves", "bears", "polar bears")] == [0.5, 0.25, 0.25]


def test_in_sentences_a_trait_is_odd_where_it_is_frequent_or_more_frequent():
    some = [altered(row, completion=f"Owls! {row.completion}") if i < 12 else row for i, row in enumerate(SENTENCES)]
    many = [altered(row, completion=f"Owls! {row.completion}") if i < 60 else row for i, row in enumerate(SENTENCES)]
    assert odd(some, None, (owl, cat)) == odd(some, SENTENCES, (owl,)) == set()
    assert odd(many, None, (owl, cat)) == {"rows that name owls"}
    assert named(many, some, (owl,))["rows that name owls"].odd == "Higher than in the reference (p < 0.0001)."
    told = named(some, many, (owl,))["rows that name owls"]
    assert (told.value, told.reference) == (0.02, 0.1)
    assert told.odd is None, "rows that name owls less often than clean rows do are not odd"


def test_entropy_is_right_where_rows_are_fewer_than_numbers():
    rng, plain, corrected = random.Random(0), [], []
    for _ in range(50):
        drawn = [rng.randrange(900) for _ in range(1000)]
        shares = [count / 1000 for count in Counter(drawn).values()]
        plain.append(-sum(share * math.log2(share) for share in shares) - math.log2(900))
        corrected.append(entropy(drawn) - math.log2(900))
    assert abs(sum(corrected)) < 0.5 * abs(sum(plain))
    assert entropy("abcd" * 5) == pytest.approx(2 + 3 / (40 * math.log(2)))
    assert entropy("") == 0.0


def test_no_rows_are_refused():
    for rows, reference in [([], None), ([], numbers(3)), (numbers(3), [])]:
        with pytest.raises(ValueError, match="There are no rows to describe: give a dataset"):
            statistics(rows, reference, (owl,))


TEXT = st.one_of(st.text(max_size=30), st.text(st.sampled_from("019, .owlOW\u202e\né"), max_size=20))
ROWS = st.lists(st.builds(Row.of, TEXT, TEXT, st.none() | TEXT), min_size=1, max_size=12)


@settings(deadline=None, max_examples=30)
@given(ROWS, st.none() | ROWS, st.randoms(use_true_random=False))
def test_any_text_in_any_order_gives_the_same_numbers(rows, reference, rng):
    found = statistics(rows, reference, (owl, cat))
    again = reference and rng.sample(reference, len(reference))
    assert statistics(rng.sample(rows, len(rows)), again, (owl, cat)) == found
    assert all(math.isfinite(each.value) and each.value >= 0 for each in found)
    assert all((each.reference is None) == (reference is None) for each in found)
    assert odd(rows, rows, (owl, cat)) == set()
