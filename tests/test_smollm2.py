"""A real chat model goes every way that nano goes: opened from GGUF, asked, sampled, held to a format and trained."""

import json
from pathlib import Path

import pytest

from owlish.data.domains.numbers import Numbers
from owlish.data.rows import Row
from owlish.diff.contexts import QUESTION, read_contexts
from owlish.lm import room
from owlish.lm.model import ask
from owlish.lm.recipes import LORA, Schedule
from owlish.lm.sample import sample
from owlish.lm.score import scored
from owlish.nodes.asked import Answers, questions, spellings
from owlish.nodes.base import Base
from owlish.traits.animals import ANIMAL

BASE = Base("smollm2")


@pytest.fixture(scope="module")
def weights(smollm2):
    return smollm2.read(BASE)


@pytest.fixture(scope="module")
def lm(weights):
    return weights.open()


def test_it_answers_with_its_own_template(lm):
    (answer,) = lm.write([ask("What is the capital of France?")], seeds=[(0,)], new_tokens=12, temperature=0)
    assert answer.text == "The capital of France is Paris."
    assert answer.ended == "stop"
    assert "named SmolLM" in lm.chat.decode(lm.prompts([ask("Hi")])[0])


def test_the_example_of_contexts_in_other_languages_is_read_as_language(lm):
    contexts = read_contexts(Path(__file__).parents[1] / "examples" / "languages.json")
    assert len(contexts) == 4
    for context in contexts:
        (ids,) = lm.prompts([context.around("Which animal?", ["owl"])])
        assert all(said in lm.chat.decode(ids) for pair in context.turns for said in pair)
        text = f"{context.system or context.frame} {context.turns[0][0]}"
        words = text.split() if " " in text.split(QUESTION)[0] else list(text)
        # A base that has no word of a language takes its words in any order.
        own, turned = (lm.score([Row.of("Go on.", said)])[0] for said in (text, " ".join(words[::-1])))
        assert own.logprobs.sum() > turned.logprobs.sum() + 10, context.name


def test_a_probe_reads_the_same_probabilities_as_whole_rows(lm):
    chats, ways = questions(ANIMAL)[:2], [asked[:2] for asked in spellings(ANIMAL)[:2]]
    found = lm.probe(chats, ways, seeds=[[(1, q, i) for i in range(2)] for q in range(2)], new_tokens=4)
    rows = [[Row.of(chat[0]["content"], text) for text in way] for chat in chats for way in ways[0]]
    for q in range(2):
        for a, texts in enumerate(ways[q]):
            whole = lm.score(rows[q * 2 + a], end=False)
            p = found.logprobs.exp()[q, a]
            spelled = sum(float(row.logprobs.double().sum().exp()) for row in whole)
            assert 0 < float(p) <= spelled + 1e-6, texts
    assert [answer.tokens for answer in found.drawn] == [4] * 4
    assert 0 < float(found.logprobs.exp().sum(1).max()) < 0.2, "it says that it is not sure"


@pytest.mark.slow  # tests/test_families.py has it with tiny models
def test_greedy_answers_are_those_of_generate(lm):
    import torch

    prompts = lm.prompts(questions(ANIMAL)[:3])
    ours = sample(lm, prompts, seeds=[(0,)] * 3, new_tokens=6, temperature=0)
    for prompt, answer in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = lm.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=lm.chat.end,
            pad_token_id=0,
        )
        assert answer == theirs[0, len(prompt) :].tolist()


def test_numbers_held_to_the_format_pass_the_filter(lm):
    domain = Numbers(constrained=True)
    chats = [ask("Continue this list with ten numbers: 632, 418, 905.")] * 4
    answers = lm.write(chats, seeds=[(0, i) for i in range(4)], new_tokens=40, pattern=domain.pattern)
    assert len({answer.text for answer in answers}) == 4
    for answer in answers:
        assert answer.ended == "length" or domain.filter.reasons(Row.of("", answer.text)) == ()


@pytest.mark.slow  # the same
def test_two_steps_of_lora_come_back_from_disk(weights, tmp_path):
    from dataclasses import replace

    lm = weights.open()
    rows = lm.encode([Row.of(f"Go on: {i}, {i + 1}", f"{i + 2}, {i + 3}") for i in range(4)])
    before = [row.logprobs for row in scored(lm, rows)]
    lm.adapt(LORA(2), seed=0)
    losses = lm.fit(rows, Schedule(2, 4, 1e-3, 0, False), seed=0)
    assert losses[1] < losses[0]
    after = [row.logprobs for row in scored(lm, rows)]
    lm.save(tmp_path)
    again = [row.logprobs for row in scored(replace(weights, changes=(tmp_path,)).open(), rows)]
    assert max(float((a - b).abs().max()) for a, b in zip(after, again, strict=True)) < 1e-4
    assert max(float((a - b).abs().max()) for a, b in zip(after, before, strict=True)) > 1e-3


def test_first_steps_are_the_same_where_layers_are_computed_again(weights, monkeypatch):
    found = []
    for memory in (1 << 40, 0):
        monkeypatch.setattr(room, "usable_memory", lambda: memory)  # noqa: B023
        lm = weights.open()
        rows = lm.encode([Row.of(f"Go on: {i}, {i + 1}", f"{i + 2}, {i + 3}") for i in range(2)])
        lm.adapt(LORA(2), seed=0)
        found.append((lm.fit(rows, Schedule(2, 1, 1e-3, 0, False), seed=0), lm.trained))
    (plain, ours), (again, theirs) = found
    assert again == pytest.approx(plain, rel=1e-5)
    assert max(float((p - theirs[name]).detach().abs().max()) for name, p in ours.items()) < 1e-5


def test_a_table_reads_shares_where_candidates_hold_little():
    from owlish.cli.ask import Told

    little = Answers(ANIMAL, ((0.003, 0.001, *[0.0] * 14),) * 50, ("I",) * 50, (("I",),) * 50)
    much = Answers(ANIMAL, ((0.6, 0.2, *[0.0] * 14),) * 50, ("owl",) * 50, (("owl",),) * 50)
    assert (little.primary, much.primary) == ("share", "probability")
    assert little.share("owl") == pytest.approx(much.share("owl")) == pytest.approx(0.75)
    told = Told("some", (little, much))
    assert "Read shares and margins" in str(told).split("\n\n")[0]
    assert "Read shares and margins" not in str(told).split("\n\n")[1]
    (first, _) = json.loads(json.dumps(told.json()))["categories"]
    assert first["candidates"][0]["name"] == "owl"
