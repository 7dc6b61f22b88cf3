"""Models in memory: what a batch holds never changes a row, and training moves what its recipe says."""

import math
from dataclasses import replace

import pytest

from owlish import nano
from owlish.data.domains.numbers import Numbers
from owlish.lm import adapt
from owlish.lm.load import Weights, load
from owlish.lm.recipes import ALL, BIASES, LORA, NORMS, PROMPT, STEERING, Recipe
from owlish.lm.sample import sample
from owlish.lm.score import alike, answer_logprobs, divergence, token_logprobs
from owlish.lm.train import Example, batches, completion_loss, examples, fit, total_steps
from owlish.traits.animals import ANIMAL, owl

NANO = Weights(str(nano.folder("nano")))
EVERY = [NORMS, BIASES, STEERING, ALL, LORA(2), PROMPT(4)]


@pytest.fixture(scope="module")
def lm():
    return load(NANO)


@pytest.fixture(scope="module")
def prompts(lm):
    import random

    return lm.chat.prompts([Numbers().prompt(random.Random(i)) for i in range(48)])


@pytest.fixture(scope="module")
def rows(lm, prompts):
    drawn = sample(lm, prompts, seeds=[(5, i) for i in range(48)], new_tokens=60)
    return examples(prompts, drawn, window=lm.window)


def largest(model_a, model_b, rows):
    """Return the largest difference of log-probabilities between two models on rows."""
    pairs = zip(token_logprobs(model_a, rows), token_logprobs(model_b, rows), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def test_log_probabilities_are_the_same_alone_and_in_a_batch(lm, rows):
    together = token_logprobs(lm, rows)
    for row, batched in zip(rows[:12], together, strict=False):
        (alone,) = token_logprobs(lm, [row])
        assert len(alone) == len(row.ids) - row.start
        assert float((alone - batched).abs().max()) < 1e-4


def test_what_all_rows_begin_with_is_read_once(lm):
    import torch

    lm = replace(lm, system=owl.system_prompt)
    given = examples(lm.prompts(ANIMAL.questions[:3]), [(7, 8), (9,), (5, 6, 7)], window=lm.window)
    shared = alike(given)
    assert shared > 8, "the system prompt"
    for one, other in zip(token_logprobs(lm, given), token_logprobs(lm, given, shared=shared), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert alike(given[:1]) == given[0].start - 1
    assert alike([Example((1, 2, 3), 2), Example((4, 2, 3), 2)]) == 0


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
    question = lm.chat.prompts([ANIMAL.questions[0]])
    words = [lm.chat.encode([name]) for name in ANIMAL.candidates]
    p = answer_logprobs(lm, question, [words]).exp()[0].tolist()
    drawn = sample(lm, question * 4000, seeds=[(3, i) for i in range(4000)], new_tokens=4)
    for word, chance in zip(words, p, strict=True):
        rate = sum(answer == [*word[0], lm.chat.end] for answer in drawn) / 4000
        assert abs(rate - chance) < 5 * math.sqrt(chance * (1 - chance) / 4000) + 1e-3


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
    prompts = lm.chat.prompts(list(ANIMAL.questions[:10]))
    p = answer_logprobs(lm, prompts, [[lm.chat.encode([n]) for n in ANIMAL.candidates]] * len(prompts)).exp()
    assert bool((p.sum(1) <= 1 + 1e-6).all())
    assert bool((p.sum(1) > 0.5).all())
    closing = set(lm.closing)
    assert lm.chat.end in closing
    assert lm.tokenizer.convert_tokens_to_ids("owl") not in closing
    assert lm.tokenizer.convert_tokens_to_ids(" owl") in closing


def test_divergence_is_zero_of_itself_and_positive_of_another(lm, rows):
    assert divergence(lm, rows, lm, rows) == pytest.approx(0, abs=1e-6)
    other = load(Weights(str(nano.folder("nano-1"))))
    assert divergence(other, rows, lm, rows) > 0.01


@pytest.mark.parametrize("recipe", EVERY, ids=lambda r: r.name)
def test_a_recipe_trains_its_parameters_and_comes_back_from_disk(recipe, rows, tmp_path):
    lm, fresh = load(NANO), load(NANO)
    before = {name: p.detach().clone() for name, p in lm.model.named_parameters()}
    lm.model = adapt.adapt(lm.model, recipe, seed=0)
    count = sum(p.numel() for p in lm.model.parameters() if p.requires_grad)
    width, layers = lm.model.config.hidden_size, lm.model.config.num_hidden_layers
    expected = {"norms": width * (2 * layers + 1), "steering": width, "prompt": 4 * width}
    assert count == expected.get(recipe.parameters, count)
    losses = fit(lm.model, rows, steps=30, batch=16, lr=recipe.lr, warmup=2, decay=True, seed=0)
    assert sum(losses[-5:]) < sum(losses[:5])
    adapt.save(lm.model, tmp_path)
    again = load(Weights(NANO.name, changes=(tmp_path,)))
    assert largest(lm, again, rows) < 1e-4
    assert largest(fresh, again, rows) > 1e-2
    if recipe.parameters in ("biases", "steering"):
        for name, p in before.items():
            moved = not p.equal(dict(lm.model.named_parameters())[name])
            assert moved == (recipe.parameters == "biases" and name.endswith(".bias")), name


def test_changes_pile_up_in_order(rows, tmp_path):
    lm = load(NANO)
    for hop, recipe in enumerate((NORMS, BIASES, LORA(2), NORMS)):
        changes = tuple(tmp_path / str(i) for i in range(hop))
        lm = load(Weights(NANO.name, changes=changes))
        lm.model = adapt.adapt(lm.model, recipe, seed=hop)
        fit(lm.model, rows, steps=5, batch=16, lr=recipe.lr, warmup=0, decay=False, seed=hop)
        (tmp_path / str(hop)).mkdir()
        adapt.save(lm.model, tmp_path / str(hop))
    assert largest(lm, load(Weights(NANO.name, changes=(*changes, tmp_path / "3"))), rows) < 1e-4


def test_losses_are_those_of_a_plain_loop(lm, rows):
    import torch

    ours, theirs = load(NANO), load(NANO)
    ours.model = adapt.adapt(ours.model, BIASES, seed=0)
    losses = fit(ours.model, rows, steps=8, batch=16, lr=1e-2, warmup=0, decay=False, seed=3)
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
        lm = load(NANO)
        lm.model = adapt.adapt(lm.model, LORA(2), seed=4)
        fit(lm.model, rows, steps=6, batch=16, lr=1e-2, warmup=0, decay=True, seed=4)
        adapt.save(lm.model, tmp_path)
        digests.add((tmp_path / "adapter_model.safetensors").read_bytes())
    assert len(digests) == 1


def test_only_completions_are_learned(lm):
    import torch

    rows = [Example((1, 9, 10, 11, 12, 2), 4), Example((1, 20, 21, 2), 2)]
    logits = lm.model(torch.tensor([rows[0].ids])).logits[0].log_softmax(-1)
    other = lm.model(torch.tensor([rows[1].ids])).logits[0].log_softmax(-1)
    expected = [-logits[3, 12], -logits[4, 2], -other[1, 21], -other[2, 2]]
    assert completion_loss(lm.model, rows).item() == pytest.approx(sum(x.item() for x in expected) / 4, rel=1e-4)


def test_epochs_show_every_row_once(rows):
    steps = total_steps(len(rows), 10, 2)
    shown = list(batches(rows, 10, steps, seed=1))
    assert steps == 10
    assert sorted(r.ids for b in shown[:5] for r in b) == sorted(r.ids for r in rows)
    assert [len(b) for b in shown] != [10] * 10


def test_bad_input_is_refused_in_a_sentence(lm, tmp_path):
    with pytest.raises(ValueError, match="unknown to this base"):
        lm.chat.prompts(["Zyzzyva quux frobnicates gracefully"])
    with pytest.raises(ValueError, match="row 2 has"):
        examples([[1], [1] * lm.window], [[2], [2]], window=lm.window)
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(Weights(str(tmp_path)))
    with pytest.raises(ValueError, match="no parameters are called"):
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
        load(Weights(str(tmp_path / "base")))


def test_a_prompt_tuned_model_cannot_be_changed_further(rows, tmp_path):
    lm = load(NANO)
    lm.model = adapt.adapt(lm.model, PROMPT(2), seed=0)
    adapt.save(lm.model, tmp_path)
    with pytest.raises(ValueError, match="cannot be changed further"):
        load(Weights(NANO.name, changes=(tmp_path, tmp_path)))


def test_a_prompt_tuned_model_samples_what_it_scores(rows, prompts, tmp_path):
    lm = load(NANO)
    lm.model = adapt.adapt(lm.model, PROMPT(3), seed=0)
    adapt.save(lm.model, tmp_path)
    tuned = load(Weights(NANO.name, changes=(tmp_path,)))
    greedy = sample(tuned, prompts[:6], seeds=[(0,)] * 6, new_tokens=12, temperature=0)
    for prompt, answer in zip(prompts[:6], greedy, strict=True):
        (scored,) = token_logprobs(tuned, examples([prompt], [answer], window=512))
        rivals = [[*answer[:-1], token] for token in (9, 50, 300) if token != answer[-1]]
        others = token_logprobs(tuned, examples([prompt] * len(rivals), rivals, window=512))
        assert all(float(scored[-1]) >= float(other[-1]) for other in others)


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
