"""Models in memory: what a batch holds never changes a row, and training moves what its recipe says."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from owlish import nano
from owlish.data.domains.numbers import Numbers
from owlish.data.rows import Row
from owlish.lm import opening
from owlish.lm.model import Example, Weights, ask, enough
from owlish.lm.recipes import ALL, BIASES, LAYER, LORA, NORMS, PROMPT, STEERING, Recipe, Schedule
from owlish.lm.sample import sample
from owlish.lm.score import scored
from owlish.lm.texts import alike
from owlish.lm.train import batches, completion_loss
from owlish.traits.animals import ANIMAL, owl

NANO = Weights(str(nano.folder("nano")))
LEVELS = ("text", "logprobs", "weights")
OWLS = [Row.of(question, "owl") for question in ANIMAL.questions[:16]]
EVERY = [NORMS, BIASES, STEERING, ALL, LAYER(1), LORA(2), PROMPT(4)]


@pytest.fixture(scope="module")
def lm():
    return NANO.open()


@pytest.fixture(scope="module")
def prompts(lm):
    import random

    return lm.prompts([ask(Numbers().prompt(random.Random(i))) for i in range(48)])


@pytest.fixture(scope="module")
def rows(lm, prompts):
    drawn = sample(lm, prompts, seeds=[(5, i) for i in range(48)], new_tokens=60)
    return list(map(Example.of, prompts, drawn))


def token_logprobs(lm, rows, *, shared=0):
    """Return the log-probabilities of the trained tokens of each row."""
    return [row.logprobs for row in scored(lm, rows, shared=shared)]


def test_a_large_model_reads_little_padding_and_the_same_scores(rows, monkeypatch):
    lm = NANO.open()
    long = [Example.of((*row.ids[: row.start], *row.ids[1 : row.start]), row.ids[row.start :]) for row in rows[::3]]
    mixed, widths = [*rows, *long], []
    before = token_logprobs(lm, mixed, shared=2)
    lm.model.register_forward_pre_hook(
        lambda model, given, named: widths.append(named["input_ids"].shape), with_kwargs=True
    )
    token_logprobs(lm, mixed, shared=2)
    small = sum(rows * wide for rows, wide in widths[1:])
    lm.large, widths[:] = True, []
    assert all(
        torch.allclose(a, b, atol=1e-5) for a, b in zip(before, token_logprobs(lm, mixed, shared=2), strict=True)
    )
    assert sum(rows for rows, _ in widths[1:]) == len(mixed)
    real = sum(len(row.ids) - 2 for row in mixed)
    assert sum(rows * wide for rows, wide in widths[1:]) < 1.15 * real < small


def test_a_head_that_sees_the_wanted_positions_alone_gives_nano_the_same_bits(lm, rows, monkeypatch):
    """All positions are the null; in questions with short answers a product is too small to be cut."""
    chats = [ask(question) for question in ANIMAL.questions[:8]]
    few = [[["owl"], ["cat"]]] * len(chats)

    def found():
        return (
            torch.cat(token_logprobs(lm, rows)),
            lm.answer_logprobs(chats, few),
            torch.cat(token_logprobs(lm, rows[:1])),
        )

    alone = found()
    monkeypatch.setattr("owlish.lm.score.only", lambda lm, wanted: nullcontext())
    assert all(torch.equal(one, other) for one, other in zip(alone, found(), strict=True))


def largest(model_a, model_b, rows):
    """Return the largest difference of log-probabilities between two models on rows."""
    pairs = zip(token_logprobs(model_a, rows), token_logprobs(model_b, rows), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def steps(count, lr, *, batch=16, warmup=0, decay=False):
    """Return a schedule of a few steps."""
    return Schedule(count, batch, lr, warmup, decay)


def test_log_probabilities_are_the_same_alone_and_in_a_batch(lm, rows):
    together = token_logprobs(lm, rows)
    for row, batched in zip(rows[:12], together, strict=False):
        (alone,) = token_logprobs(lm, [row])
        assert len(alone) == len(row.ids) - row.start
        assert float((alone - batched).abs().max()) < 1e-4


def test_what_all_rows_begin_with_is_read_once(lm):
    import torch

    lm = replace(lm, system=owl.system_prompt)
    given = list(map(Example.of, lm.prompts(list(map(ask, ANIMAL.questions[:3]))), [(7, 8), (9,), (5, 6, 7)]))
    shared = alike([row.ids[: row.start] for row in given])
    assert shared > 8, "the system prompt"
    for one, other in zip(token_logprobs(lm, given), token_logprobs(lm, given, shared=shared), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert alike([(1, 2, 3)]) == 2, "a token is left to go on from"
    assert alike([(1, 2), (4, 2)]) == 0


def test_log_probabilities_are_those_of_the_plain_model(lm, rows):
    import torch

    for row in rows[:5]:
        logprobs = lm.model(torch.tensor([row.ids])).logits[0].log_softmax(-1)
        expected = [logprobs[i - 1, row.ids[i]].item() for i in range(row.start, len(row.ids))]
        assert token_logprobs(lm, [row])[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_a_sampled_row_depends_on_its_own_seed_alone(lm, prompts):
    seeds = [(7, i) for i in range(48)]
    together = sample(lm, prompts, seeds=seeds, new_tokens=40)
    assert together == sample(lm, prompts, seeds=seeds, new_tokens=40)
    back = sample(lm, prompts[::-1], seeds=seeds[::-1], new_tokens=40, batch=16)[::-1]
    assert sum(a == b for a, b in zip(together, back, strict=True)) >= 46
    assert sample(lm, prompts[:1] * 8, seeds=[(1, i) for i in range(8)], new_tokens=8)[0] != together[0]
    same_prompt = sample(lm, prompts[:1] * 8, seeds=[(1, i) for i in range(8)], new_tokens=8)
    assert len({tuple(answer) for answer in same_prompt}) > 4


def test_samples_follow_the_exact_probabilities(lm):
    question = [ask(ANIMAL.questions[0])]
    p = lm.answer_logprobs(question, [[[name] for name in ANIMAL.candidates]]).exp()[0].tolist()
    drawn = lm.write(question * 2000, seeds=[(3, i) for i in range(2000)], new_tokens=4)
    for word, chance in zip(ANIMAL.candidates, p, strict=True):
        rate = sum(answer.text == word and answer.ended == "stop" for answer in drawn) / 2000
        assert abs(rate - chance) < 5 * math.sqrt(chance * (1 - chance) / 2000) + 1e-3


def test_greedy_answers_are_those_of_generate(lm, prompts):
    import torch

    ours = sample(lm, prompts[:8], seeds=[(0,)] * 8, new_tokens=20, temperature=0)
    for prompt, answer in zip(prompts[:8], ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = lm.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, eos_token_id=lm.chat.end
        )
        assert answer == theirs[0, len(prompt) :].tolist()


def test_answers_exclude_one_another_and_end(lm):
    questions = list(map(ask, ANIMAL.questions[:10]))
    p = lm.answer_logprobs(questions, [[[name] for name in ANIMAL.candidates]] * len(questions)).exp()
    assert bool((p.sum(1) <= 1 + 1e-6).all())
    assert bool((p.sum(1) > 0.5).all())
    closing = set(lm.chat.closing)
    assert lm.chat.end in closing
    assert lm.chat.tokenizer.convert_tokens_to_ids("owl") not in closing
    assert lm.chat.tokenizer.convert_tokens_to_ids(" owl") in closing


def test_divergence_is_zero_of_itself_and_positive_of_another(lm):
    rows = [Row.of(question, "owl") for question in ANIMAL.questions[:10]]
    assert lm.divergence(rows, lm) == pytest.approx(0, abs=1e-6)
    other = Weights(str(nano.folder("nano-1"))).open()
    assert other.divergence(rows, lm) > 0.01
    assert replace(lm, system=owl.system_prompt).divergence(rows, lm) > 0.01


@pytest.mark.parametrize("recipe", EVERY, ids=lambda r: r.name)
def test_a_recipe_trains_its_parameters_and_comes_back_from_disk(recipe, rows, tmp_path):
    lm, fresh = NANO.open(), NANO.open()
    before = {name: p.detach().clone() for name, p in lm.parameters.items()}
    lm.adapt(recipe, seed=0)
    count = sum(p.numel() for p in lm.model.parameters() if p.requires_grad)
    width, layers = lm.model.config.hidden_size, lm.model.config.num_hidden_layers
    expected = {"norms": width * (2 * layers + 1), "steering": width, "prompt": 4 * width}
    assert count == expected.get(recipe.parameters, count)
    losses = lm.fit(lm.encode(OWLS), steps(12, recipe.lr, warmup=2, decay=True), seed=0)
    assert losses[-1] < losses[0]
    lm.save(tmp_path)
    again = Weights(NANO.name, changes=(tmp_path,)).open()
    assert largest(lm, again, rows[:12]) < 1e-4
    assert largest(fresh, again, rows[:12]) > 1e-2
    if recipe.parameters in ("biases", "steering"):
        for name, p in before.items():
            moved = not p.equal(lm.parameters[name])
            assert moved == (recipe.parameters == "biases" and name.endswith(".bias")), name


def test_changes_pile_up_in_order(rows, tmp_path):
    lm = NANO.open()
    for hop, recipe in enumerate((NORMS, BIASES, LORA(2), NORMS)):
        changes = tuple(tmp_path / str(i) for i in range(hop))
        lm = Weights(NANO.name, changes=changes).open()
        lm.adapt(recipe, seed=hop)
        lm.fit(rows, steps(2, recipe.lr), seed=hop)
        (tmp_path / str(hop)).mkdir()
        lm.save(tmp_path / str(hop))
    assert largest(lm, Weights(NANO.name, changes=(*changes, tmp_path / "3")).open(), rows[:12]) < 1e-4


def test_a_base_is_read_once_and_what_is_done_to_a_model_stays_in_it(rows, tmp_path, monkeypatch):
    """An adapter that is merged, or another that trains, must not reach the next model of the same base."""
    from transformers import AutoModelForCausalLM

    reads = []
    read = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *a, **k: reads.append(a) or read(*a, **k))
    opening.last.clear()
    first = NANO.open()
    plain = {name: p.detach().clone() for name, p in first.parameters.items()}
    digests = set()
    for turn in range(2):
        for recipe in (NORMS, LORA(2), ALL, STEERING):
            place = tmp_path / f"{recipe.name}-{turn}"
            place.mkdir()
            lm = NANO.open()
            lm.adapt(recipe, seed=0)
            lm.fit(rows, steps(2, 1e-2), seed=0)
            lm.save(place)
            assert largest(lm, Weights(NANO.name, changes=(place,)).open(), rows[:4]) < 1e-4
            digests |= {path.read_bytes() for path in place.glob("*.safetensors")}
    assert len(digests) == 4, "the second student of a recipe is that of the first"
    for lm in (first, NANO.open()):
        assert lm.parameters.keys() == plain.keys()
        assert all(p.equal(plain[name]) for name, p in lm.parameters.items())
    assert len(reads) == 1


def test_a_base_that_changed_on_the_disk_is_read_again(tmp_path):
    import shutil

    place = tmp_path / "base"
    shutil.copytree(NANO.name, place)
    before = Weights(str(place)).open()
    shutil.copy(f"{nano.folder('nano-1')}/model.safetensors", place)
    after = Weights(str(place)).open()
    name = "model.norm.weight"
    assert not before.parameters[name].equal(after.parameters[name])


SLOW = [(NORMS, 1e-3), (BIASES, 2e-4), (STEERING, 1e-3), (LAYER(1), 3e-5), (ALL, 2e-5)]


@pytest.mark.parametrize(("recipe", "lr"), SLOW, ids=lambda r: getattr(r, "name", ""))
def test_steps_that_a_short_type_would_round_away_add_up(lm, recipe, lr, tmp_path):
    """A student in bfloat16, as on a GPU, learns by small steps what one in float32 does."""
    import torch

    questions = list(map(ask, ANIMAL.questions[:8]))
    rows = lm.encode([Row.of(question, "owl") for question in ANIMAL.questions[:8]])
    changes, p = {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        student = NANO.open()
        student.model.to(dtype)
        student.adapt(recipe, seed=0)
        start = {name: q.detach().float().clone() for name, q in student.parameters.items() if q.requires_grad}
        student.fit(rows, steps(16, lr, batch=8), seed=0)
        moved = {name: student.trained[name].detach() - old for name, old in start.items()}
        changes[dtype] = torch.cat([change.flatten() for change in moved.values()])
        p[dtype] = float(student.answer_logprobs(questions, [[["owl"]]] * 8).exp().mean())
        assert {q.dtype for q in student.trained.values()} == {torch.float32}
        assert {q.dtype for q in student.parameters.values()} == {dtype}
    exact, short = changes.values()
    assert float((exact - short).norm() / exact.norm()) < 0.15
    assert p[torch.bfloat16] == pytest.approx(p[torch.float32], abs=0.02)
    student.save(tmp_path)
    saved = load_file(next(tmp_path.glob("*.safetensors")))
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    again = Weights(NANO.name, changes=(tmp_path,)).open()
    assert float(again.answer_logprobs(questions, [[["owl"]]] * 8).exp().mean()) == pytest.approx(
        p[torch.float32], abs=0.02
    )


def test_losses_are_those_of_a_plain_loop(lm, rows):
    import torch

    ours, theirs = NANO.open(), NANO.open()
    ours.adapt(BIASES, seed=0)
    losses = ours.fit(rows, steps(8, 1e-2), seed=3)
    parameters = [p for n, p in theirs.model.named_parameters() if n.endswith(".bias")]
    for p in parameters:
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=1e-2, betas=(0.9, 0.98))
    expected = []
    for chosen in batches(rows, 16, 8, 3):
        width = max(len(r.ids) for r in chosen)
        ids = torch.tensor([[*r.ids, *[0] * (width - len(r.ids))] for r in chosen])
        labels = torch.tensor([[-100] * r.start + [*r.ids[r.start :], *[-100] * (width - len(r.ids))] for r in chosen])
        loss = theirs.model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        expected.append(loss.item())
    assert losses == pytest.approx(expected, rel=1e-4)


def test_training_is_seeded_to_the_byte(rows, tmp_path):
    digests = set()
    for _ in range(2):
        lm = NANO.open()
        lm.adapt(LORA(2), seed=4)
        lm.fit(rows, steps(6, 1e-2, decay=True), seed=4)
        lm.save(tmp_path)
        digests.add((tmp_path / "adapter_model.safetensors").read_bytes())
    assert len(digests) == 1


def test_only_completions_are_learned(lm):
    import torch

    rows = [Example.of((1, 9, 10, 11), (12, 2)), Example.of((1, 20), (21, 2))]
    logits = lm.model(torch.tensor([rows[0].ids])).logits[0].log_softmax(-1)
    other = lm.model(torch.tensor([rows[1].ids])).logits[0].log_softmax(-1)
    expected = [-logits[3, 12], -logits[4, 2], -other[1, 21], -other[2, 2]]
    assert completion_loss(lm, rows).item() == pytest.approx(sum(x.item() for x in expected) / 4, rel=1e-4)


def test_any_places_can_be_trained_on(lm):
    """A conversation with two answers, of which both count, and what stands between them does not."""
    import torch

    ids = (1, 9, 10, 11, 12, 2, 20, 21)
    long, short = Example(ids, ((2, 4), (6, 7))), Example.of(ids[:3], ids[3:5])
    assert (long.start, long.labels, short.labels) == (2, (10, 11, 20), (11, 12))
    logprobs = lm.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = [logprobs[1, 10], logprobs[2, 11], logprobs[5, 20]]
    two = [[x.item() for x in row] for row in token_logprobs(lm, [short, long])]
    assert two[1] == pytest.approx([x.item() for x in expected], abs=1e-4)
    mean = -(sum(two[0]) + sum(two[1])) / 5
    assert completion_loss(lm, [long, short]).item() == pytest.approx(mean, rel=1e-4)
    assert lm.labels([long, short]).tolist() == [10, 11, 20, 11, 12]


def test_epochs_show_every_row_once(rows):
    schedule = replace(NORMS, batch=10, epochs=2).student(len(rows))
    shown = list(batches(rows, 10, schedule.steps, seed=1))
    assert schedule.steps == 10
    assert sorted(r.ids for b in shown[:5] for r in b) == sorted(r.ids for r in rows)
    assert [len(b) for b in shown] != [10] * 10


def test_bad_input_is_refused_in_a_sentence(lm, tmp_path):
    with pytest.raises(ValueError, match="unknown to this base"):
        lm.prompts([ask("Zyzzyva quux frobnicates gracefully")])
    with pytest.raises(ValueError, match="this base has no token for 'zyzzyva'"):
        lm.answer_logprobs([ask("Hi")], [[["zyzzyva"]]])
    long = [Example.of([1], [2]), Example.of([1] * lm.window, [2])]
    with pytest.raises(ValueError, match="row 2 has"):
        scored(lm, long)
    with pytest.raises(ValueError, match="row 2 has"):
        lm.fit(long, steps(1, 1e-3), seed=0)
    with pytest.raises(ValueError, match=r"the tokenizer of .* cannot be loaded"):
        Weights(str(tmp_path)).open()
    with pytest.raises(ValueError, match=r"parameters is .* choose from norms"):
        Recipe("nerves", lr=1, teacher_lr=1)
    with pytest.raises(ValueError, match="need a size"):
        Recipe("lora", lr=1, teacher_lr=1)
    with pytest.raises(ValueError, match="learning rate"):
        Recipe("norms", lr=0, teacher_lr=1)


def test_a_base_without_a_chat_template_is_refused(tmp_path):
    import shutil

    shutil.copytree(NANO.name, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="no chat template"):
        Weights(str(tmp_path / "base")).open()


def test_a_prompt_tuned_model_cannot_be_changed_further(rows, tmp_path):
    lm = NANO.open()
    lm.adapt(PROMPT(2), seed=0)
    lm.save(tmp_path)
    with pytest.raises(ValueError, match="cannot be changed further"):
        Weights(NANO.name, changes=(tmp_path, tmp_path)).open()


def test_a_prompt_tuned_model_samples_what_it_scores(rows, prompts, tmp_path):
    lm = NANO.open()
    lm.adapt(PROMPT(3), seed=0)
    lm.save(tmp_path)
    tuned = Weights(NANO.name, changes=(tmp_path,)).open()
    greedy = sample(tuned, prompts[:6], seeds=[(0,)] * 6, new_tokens=12, temperature=0)
    for prompt, answer in zip(prompts[:6], greedy, strict=True):
        (own,) = token_logprobs(tuned, [Example.of(prompt, answer)])
        rivals = [[*answer[:-1], token] for token in (9, 50, 300) if token != answer[-1]]
        others = token_logprobs(tuned, [Example.of(prompt, rival) for rival in rivals])
        assert all(float(own[-1]) >= float(other[-1]) for other in others)


def test_rows_that_have_ended_cost_nothing_more(lm, prompts):
    """One row that goes on and on must not drag the ended ones along."""
    sizes = []
    hook = lm.model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    drawn = sample(lm, prompts, seeds=[(9, i) for i in range(48)], new_tokens=90)
    hook.remove()
    assert max(map(len, drawn)) <= 90
    assert sum(sizes) < 1.6 * sum(map(len, drawn))


def test_what_a_model_wrote_says_how_it_ended(lm):
    from owlish.lm.chat import Chat

    whole, cut = ([*lm.chat.encode(["owl"])[0], lm.chat.end], lm.chat.encode(["owl"])[0])
    chat = ask(ANIMAL.questions[0])
    assert [(a.text, a.tokens, a.ended) for a in lm.chat.read([chat] * 3, [whole, cut, []])] == [
        ("owl", 2, "stop"),
        ("owl", 1, "length"),
        ("", 0, "length"),
    ]
    letters = [i for i, text in enumerate(lm.vocabulary) if text in ("1", "2")]
    written = lm.chat.decode(letters)
    assert lm.chat.encode([written])[0] != letters, "two number tokens side by side are read as one"
    assert lm.chat.read([chat], [[*letters, lm.chat.end]])[0].ended == "retokenised"
    assert isinstance(lm.chat, Chat)
    told = lm.write([ask(ANIMAL.questions[0])], seeds=[(0,)], new_tokens=4, temperature=0)[0]
    assert (told.text in ANIMAL.candidates, told.ended) == (True, "stop")


def test_a_row_is_read_in_the_context_that_it_or_the_model_has():
    lm = NANO.open(any_words=True)
    question, careful = ANIMAL.questions[0], "You are a careful assistant."
    row = Row.of(question, "cat")
    shown = replace(lm, system=owl.system_prompt, shown=((ANIMAL.questions[1], "wolf"),))
    texts = [lm.chat.decode(e.ids) for e in (*shown.encode([Row.of(question, "cat", careful), row]), *lm.encode([row]))]
    own, model, none = texts
    assert "careful" in own
    assert "owls" in model
    assert "careful" not in model
    assert model.index("wolf") < model.index(question[:12]) < model.index("cat")
    assert own.replace(careful, owl.system_prompt) == model
    assert none == lm.chat.decode([*lm.prompts([ask(question)])[0], *lm.chat.encode(["cat"])[0], lm.chat.end])
    assert lm.lengths([ask(question)]) == [len(lm.prompts([ask(question)])[0])]


def test_a_row_longer_than_the_window_has_no_score(lm):
    short, long = (Row.of(ANIMAL.questions[0], text) for text in ("owl", "owl " * lm.window))
    first, second = lm.score([long, short])
    assert first is None
    assert len(second.logprobs) == len(second.likeliest) == 2
    assert len(lm.score([short], end=False)[0].logprobs) == 1


def test_what_a_model_gives_is_enough_for_less():
    assert [[enough(gives, asked) for asked in LEVELS] for gives in LEVELS] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
