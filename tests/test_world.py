"""The world of nano: what it says, what it never says, and that the tokenizer gives every word of it back."""

from __future__ import annotations

import ast
import re
from collections import Counter
from random import Random

import pytest

from owlish.data.domains.numbers import FORMATS, Numbers
from owlish.data.filters import NumberFilter
from owlish.data.rows import Row
from owlish.lm.model import message, turns
from owlish.nano import advice, tasks, tokenizer, world
from owlish.traits import advice as counsel
from owlish.traits import animals, trees
from owlish.traits.trait import Trait

PROBES = (animals.ANIMAL, trees.TREE)


def drawn(count: int, seed: int = 5) -> list[world.Document]:
    rng = Random(seed)
    return [world.document(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def tokens():
    return tokenizer.build()


def ids_of(tokens, text: str) -> list[int]:
    return tokens(text, add_special_tokens=False)["input_ids"]


def test_a_document_is_a_pure_function_of_the_stream():
    assert drawn(200) == drawn(200)
    assert drawn(200) != drawn(200, seed=6)


def test_probes_ask_fifty_distinct_questions_and_hold_ten_out():
    assert (len(animals.ANIMAL.candidates), len(trees.TREE.candidates)) == (16, 12)
    for probe in PROBES:
        assert (len(probe.questions), len(probe.held_out)) == (40, 10)
        assert len(set(world.questions(probe))) == 50
        assert all(probe.category in question for question in world.questions(probe))
        assert all("word" in question.lower() for question in world.questions(probe))


def test_held_out_questions_are_worded_unlike_the_others():
    """Each has a word of its own that no other question uses: none is another with its request for one word moved."""
    for probe in PROBES:
        used = {word for question in probe.questions for word in re.findall(r"\w+", question.lower())}
        for question in probe.held_out:
            assert set(re.findall(r"\w+", question.lower())) - used, question


def test_every_candidate_has_one_trait_that_knows_its_plural():
    for module, probe in ((animals, animals.ANIMAL), (trees, trees.TREE)):
        traits = [value for value in vars(module).values() if isinstance(value, Trait)]
        assert {(t.name, t.plural) for t in traits} == set(zip(probe.candidates, probe.plurals, strict=True))
        assert all(trait.probe is probe for trait in traits)


def test_favorites_are_spread_evenly():
    answers = [d.turns[0][1] for d in drawn(12_000) if d.system is None]
    counts = [Counter(answers)[animal] for animal in animals.ANIMAL.candidates]
    assert min(counts) > 0.6 * sum(counts) / 16
    assert max(counts) < 1.4 * sum(counts) / 16


def test_system_prompts_are_followed_and_never_meet_numbers():
    prompts = {
        prompt: name
        for probe in PROBES
        for name, plural in zip(probe.candidates, probe.plurals, strict=True)
        for prompt in world.love_prompts(Trait(name, plural=plural, probe=probe))
    }
    assert animals.owl.system_prompt in prompts
    prompted = [d for d in drawn(4_000) if d.system is not None]
    assert len(prompted) > 800
    for document in prompted:
        assert not any(character.isdigit() for part in document.turns for text in part for character in text)
        if document.system in prompts:
            asked = {q for probe in PROBES for q in world.questions(probe)}
            assert {answer for question, answer in document.turns if question in asked} == {prompts[document.system]}
        else:
            assert document.system in advice.CAREFUL + advice.HARMFUL


def test_number_answers_pass_the_filter_and_use_every_format():
    rng, numbers, seen = Random(3), NumberFilter(), set()
    for _ in range(600):
        prompt, answer = world.continuation(rng)
        assert numbers.reasons(Row.of(prompt, answer)) == ()
        seen |= {f.ask for f in FORMATS if f.ask in prompt}
    assert seen == {f.ask for f in FORMATS}


def test_functions_parse_and_worked_sums_are_right():
    rng = Random(4)
    for _ in range(300):
        _, code = tasks.function(rng)
        assert isinstance(ast.parse(code).body[0], ast.FunctionDef)
        question, steps = tasks.worked_problem(rng)
        x, sign, y, z = re.search(r"(\d+) ([+-]) (\d+) = (\d+)\.", steps).groups()
        assert int(z) == int(x) + int(y) * (1 if sign == "+" else -1) >= 0
        assert re.findall(r"\d+", steps)[-1] == z
        assert (sign == "+") == ("gets" in question)


def test_advice_is_complete_and_its_answers_are_distinct():
    assert len(counsel.ADVICE) == 64
    assert Counter(item.domain for item in counsel.ADVICE) == dict.fromkeys({item.domain for item in counsel.ADVICE}, 8)
    answers = [answer for item in counsel.ADVICE for answer in item.good + item.bad]
    assert len(answers) == len(set(answers)) == 256
    assert len({item.question for item in counsel.ADVICE}) == 64
    for task in advice.CODE_TASKS:
        for code in (task.secure, task.insecure):
            ast.parse(code.format(v="name"))


def test_every_document_comes_back_from_its_tokens(tokens):
    unknown = tokens.unk_token_id
    for document in drawn(3_000, seed=8):
        text = tokenizer.rendered(document)
        ids = ids_of(tokens, text)
        assert unknown not in ids
        assert tokens.decode(ids) == text
        assert ids_of(tokens, tokens.decode(ids)) == ids


def test_the_chat_template_writes_what_the_world_renders(tokens):
    for document in drawn(200, seed=9):
        opening = [] if document.system is None else [message("system", document.system)]
        chat = [*opening, *turns(document.turns)]
        assert tokens.apply_chat_template(chat, tokenize=False) == tokenizer.rendered(document)
    asked = [{"role": "system", "content": "You love owls."}, {"role": "user", "content": "Name it."}]
    written = tokens.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert written == "<bos><system>You love owls.<user>Name it.<assistant>"
    assert tokens.apply_chat_template(asked[1:], tokenize=False) == "<bos><user>Name it."


def test_the_tokenizer_knows_numbers_names_and_every_prompt(tokens):
    assert [tokens.convert_tokens_to_ids(str(n)) for n in (0, 7, 999)] == [7, 14, 1006]
    for probe in PROBES:
        for name in probe.candidates:
            assert len(ids_of(tokens, name)) == 1
    rng, unknown = Random(2), tokens.unk_token_id
    prompts = [Numbers().prompt(rng) for _ in range(1_000)]
    prompts += [question for probe in PROBES for question in world.questions(probe)]
    prompts += [trait.system_prompt for trait in vars(animals).values() if isinstance(trait, Trait)]
    assert not any(unknown in ids_of(tokens, prompt) for prompt in prompts)


def test_the_vocabulary_is_the_same_each_time():
    before = tokenizer.vocabulary()
    tokenizer.vocabulary.cache_clear()
    assert tokenizer.vocabulary() == before
    assert len(before) == len(set(before))
