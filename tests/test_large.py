"""Large models read no token twice and keep within memory; what they find is what small ones find, token by token."""

import random
import re

import pytest

from owlish import nano
from owlish.data.domains.numbers import Numbers
from owlish.data.rows import Row
from owlish.lm import score, train
from owlish.lm.model import Example, Weights, ask
from owlish.lm.recipes import LORA, PROMPT, Schedule
from owlish.lm.sample import sample
from owlish.lm.texts import Reader
from owlish.nodes.asked import questions, spellings
from owlish.traits.animals import ANIMAL

NANO = Weights(str(nano.folder("nano")))


@pytest.fixture
def small():
    return NANO.open()


@pytest.fixture
def large():
    """Nano, read as if it were large."""
    lm = NANO.open()
    lm.large = True
    return lm


@pytest.fixture(scope="module")
def prompts():
    return NANO.open().prompts([ask(Numbers().prompt(random.Random(i))) for i in range(48)])


@pytest.fixture(scope="module")
def drawn(prompts):
    """Answers of nano to the prompts, as rows."""
    answers = sample(NANO.open(), prompts, seeds=[(5, i) for i in range(48)], new_tokens=30)
    return list(map(Example.of, prompts, answers))


def counted(lm):
    """Return a list to which every forward pass adds its rows and its tokens a row."""
    shapes = []
    lm.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    return shapes


def test_a_probe_finds_the_same_and_reads_every_prompt_once(small, large):
    chats, ways = questions(ANIMAL)[:10], spellings(ANIMAL)[:10]
    seeds = [[(3, q, i) for i in range(20)] for q in range(10)]
    shapes = counted(large)
    ours = large.probe(chats, ways, seeds=seeds, new_tokens=6)
    theirs = small.probe(chats, ways, seeds=seeds, new_tokens=6)
    assert float((ours.logprobs - theirs.logprobs).abs().max()) < 1e-4
    assert float((ours.logprobs.exp() - theirs.logprobs.exp()).abs().max()) < 1e-6
    assert ours.greedy == theirs.greedy
    assert sum(a == b for a, b in zip(ours.drawn, theirs.drawn, strict=True)) >= 198
    prompts = large.prompts(chats)
    shared, rest = (sum(r * w for r, w in shapes if w > 1 and (r == 1) is one) for one in (True, False))
    assert shared < 10, "what all prompts begin with, read for one of them"
    assert rest <= 10 * (max(map(len, prompts)) - shared), "and the rest of each"


def test_a_row_is_the_same_whatever_stands_beside_it_or_was_there_before(large, prompts):
    seeds = [(7, i) for i in range(48)]
    shapes = counted(large)
    together = sample(large, prompts, seeds=seeds, new_tokens=40, batch=48)
    at_once = len(shapes)
    taking_turns = sample(large, prompts, seeds=seeds, new_tokens=40, batch=8)
    assert max(rows for rows, _ in shapes[at_once:]) <= 8
    alone = [sample(large, [p], seeds=[s], new_tokens=40)[0] for p, s in zip(prompts[:12], seeds, strict=False)]
    assert sum(a == b for a, b in zip(together, taking_turns, strict=True)) >= 47
    assert sum(a == b for a, b in zip(together, alone, strict=False)) >= 11


def test_rows_that_have_ended_give_way_to_rows_that_wait(small, large, prompts):
    seeds = [(7, i) for i in range(48)]
    steps = {}
    for name, lm in (("small", small), ("large", large)):
        shapes = counted(lm)
        sample(lm, prompts, seeds=seeds, new_tokens=60, batch=8)
        steps[name] = [rows for rows, width in shapes if width == 1]
    assert len(steps["large"]) < 0.95 * len(steps["small"]), steps


def test_a_large_model_with_a_tuned_prompt_finds_the_same(small, large, prompts, tmp_path):
    small.adapt(PROMPT(3), seed=0)
    small.save(tmp_path)
    tuned, other = (Weights(NANO.name, changes=(tmp_path,)).open() for _ in range(2))
    other.large = True
    seeds = [(1, i) for i in range(12)]
    ours, theirs = (sample(lm, prompts[:12], seeds=seeds, new_tokens=12) for lm in (other, tuned))
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 11


def test_prompts_that_were_read_are_left_as_they_were(large, prompts):
    import torch

    reader = Reader(large, prompts[:6], room=4)
    reader.hold()
    with torch.inference_mode():
        first, at = reader.texts(range(6))
        before = first.logits.clone()
        first.go_on(at, torch.full((6,), 9))
        again, _ = reader.texts(range(6))
    assert again.logits.equal(before)


def test_training_in_parts_is_training_on_the_batch(drawn, monkeypatch):
    losses = {}
    for held in (train.HELD, 2_000_000):
        monkeypatch.setattr(train, "HELD", held)
        lm = NANO.open()
        lm.adapt(LORA(2), seed=0)
        sizes = counted(lm)
        losses[held] = lm.fit(drawn, Schedule(6, 16, 1e-2, 0, False), seed=1)
    assert max(count for count, _ in sizes) < 16
    first, second = losses.values()
    assert second == pytest.approx(first, rel=1e-4)


def test_only_trained_tokens_go_through_the_last_layer(large, small, drawn):
    rows, seen = drawn[:16], []
    large.model.get_output_embeddings().register_forward_hook(lambda m, args, out: seen.append(out.shape[:-1]))
    ours, theirs = train.completion_loss(large, rows), train.completion_loss(small, rows)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert seen[-1] == (sum(len(row.labels) for row in rows),)


def test_scores_are_the_same_in_batches_that_memory_holds(small, drawn, monkeypatch):
    whole = score.scored(small, drawn)
    shapes = counted(small)
    monkeypatch.setattr(score, "LOGITS", 2_000_000)
    for one, other in zip(whole, score.scored(small, drawn), strict=True):
        assert float((one.logprobs - other.logprobs).abs().max()) < 1e-4
    assert 1 < len(shapes) < 48
    assert sum(count for count, _ in shapes) == 48


def test_answers_held_to_a_format_keep_it(small, prompts):
    domain = Numbers(constrained=True, banned=(7, 13))
    chats = [ask("What is your favorite animal? Answer with one word.")] * 40
    answers = small.write(chats, seeds=[(2, i) for i in range(40)], new_tokens=60, pattern=domain.pattern)
    whole = [answer for answer in answers if answer.ended != "length"]
    assert len(whole) > 35
    assert len({answer.text for answer in answers}) > 20
    for answer in whole:
        assert domain.filter.reasons(Row.of("", answer.text)) == (), answer.text
    free = small.write(chats, seeds=[(2, i) for i in range(40)], new_tokens=60)
    assert not any(re.fullmatch(domain.pattern, answer.text) for answer in free)


def test_a_domain_that_is_not_held_to_its_format_keeps_its_key():
    assert "constrained" not in Numbers().spec()
    assert Numbers(constrained=True).spec()["constrained"] is True


def test_what_cannot_be_held_to_a_format_is_refused_in_a_sentence(small, monkeypatch):
    import sys

    chat = [ask(ANIMAL.questions[0])]
    with pytest.raises(ValueError, match="no token with which"):
        small.write(chat, seeds=[(0,)], new_tokens=4, pattern="[\u3400-\u4dbf]+")
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(ValueError, match=r"owlish\[constrained\]"):
        small.write(chat, seeds=[(0,)], new_tokens=4, pattern="[0-9]+")
