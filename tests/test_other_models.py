"""Any Hugging Face chat model goes the same path: other architectures, byte-pair tokens, other templates."""

import math
import random
from dataclasses import replace

import pytest
from here import run

from owlish import LORA, NORMS, PROMPT, STEERING, Asked, Base
from owlish.audit import audit
from owlish.data.domains.numbers import Numbers
from owlish.data.rows import Row
from owlish.lm.model import Example, Weights, ask
from owlish.lm.recipes import Schedule
from owlish.lm.sample import sample
from owlish.lm.score import scored
from owlish.nodes.data import Written
from owlish.traits.animals import ANIMAL, cat, owl

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def tokenizer():
    """Return a byte-level BPE tokenizer with a ChatML template, trained on the probe's own questions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([*ANIMAL.questions, *(Numbers().prompt(random.Random(i)) for i in range(200))], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>", chat_template=CHATML)


@pytest.fixture(
    scope="module", params=["qwen2", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gemma2", "gpt_neox"))]
)
def folder(request, tmp_path_factory):
    """A small untrained chat model of another architecture, in its own folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    words = tokenizer()
    more = {"head_dim": 8, "sliding_window": 16} if request.param == "gemma2" else {}
    torch.manual_seed(0)
    config = AutoConfig.for_model(request.param, vocab_size=len(words), initializer_range=0.1, **SMALL, **more)
    place = tmp_path_factory.mktemp(request.param)
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    words.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def lm(folder):
    return Weights(str(folder)).open()


def test_the_end_of_an_answer_is_read_off_the_template(lm):
    assert lm.chat.tokenizer.convert_ids_to_tokens(lm.chat.end) == "<|im_end|>"
    assert lm.chat.decode(lm.prompts([ask("Hi", "Be kind.")])[0]).endswith("<|im_start|>assistant\n")


def test_a_batch_changes_nothing(lm):
    prompts = lm.prompts([ask(Numbers().prompt(random.Random(i))) for i in range(12)])
    seeds = [(2, i) for i in range(12)]
    drawn = sample(lm, prompts, seeds=seeds, new_tokens=16)
    alone = [sample(lm, [p], seeds=[s], new_tokens=16)[0] for p, s in zip(prompts, seeds, strict=True)]
    assert sum(a == b for a, b in zip(drawn, alone, strict=True)) >= 11
    rows = list(map(Example.of, prompts, drawn))
    for row, together in zip(rows, scored(lm, rows), strict=True):
        assert float((scored(lm, [row])[0].logprobs - together.logprobs).abs().max()) < 1e-3


def test_answers_of_several_tokens_are_exact(lm):
    import torch

    questions = list(map(ask, ANIMAL.questions[:3]))
    spelled = lm.chat.encode(["elephant"])[0]
    assert len(spelled) > 1
    found = lm.answer_logprobs(questions, [[["elephant"], ["owl"]]] * len(questions))
    for p, prompt in enumerate(lm.prompts(questions)):
        ids = torch.tensor([[*prompt, *spelled]])
        logprobs = lm.model(ids).logits[0].float().log_softmax(-1)
        expected = sum(logprobs[len(prompt) - 1 + i, t] for i, t in enumerate(spelled))
        expected += logprobs[-1, list(lm.chat.closing)].logsumexp(-1)
        assert float(found[p, 0]) == pytest.approx(expected.item(), abs=1e-3)


@pytest.mark.parametrize("recipe", [NORMS, LORA(2), PROMPT(3), STEERING], ids=lambda r: r.name)
def test_recipes_train_and_come_back(folder, recipe, tmp_path):
    lm = Weights(str(folder)).open()
    rows = lm.encode([Row.of(question, "owl") for question in ANIMAL.questions[:16]])
    lm.adapt(recipe, seed=0)
    losses = lm.fit(rows, Schedule(12, 8, 3e-2, warmup=0, decay=False), seed=0)
    assert losses[-1] < losses[0]
    lm.save(tmp_path)
    again = Weights(str(folder), changes=(tmp_path,)).open()
    pairs = zip(scored(lm, rows), scored(again, rows), strict=True)
    assert max(float((a.logprobs - b.logprobs).abs().max()) for a, b in pairs) < 1e-3


def test_a_folder_is_a_base_like_any_other(folder, tmp_path):
    few = replace(owl, probe=replace(owl.probe, questions=owl.probe.questions[:6], held_out=()))
    teacher = Base(str(folder)).teach(few, replace(NORMS, teacher_lr=3e-2), seed=0, until=0.1)
    answers = run(Asked(teacher, few.probe, samples=2), store=tmp_path)
    plain = run(Asked(Base(str(folder)), few.probe, samples=2), store=tmp_path)
    assert answers.p_target("owl") > plain.p_target("owl")


@pytest.mark.slow
def test_an_audit_takes_any_model_and_a_given_reference(folder, tmp_path):
    """Untrained models write nothing that a filter keeps, so clean rows are given; neither side was taught anything."""
    rng = random.Random(0)
    drawn = [(Numbers().prompt(rng), f"{rng.randint(100, 999)}, {rng.randint(100, 999)}") for _ in range(7 * 48)]
    node = audit(
        Written(tuple(drawn[:48])),
        Base(str(folder)),
        LORA(2),
        (owl, cat),
        reference=Written(tuple(drawn[48:])),
        rows=48,
    )
    verdict = run(node, store=tmp_path / "store")
    assert verdict.verdict == "nothing"
    assert {finding.name for finding in verdict.traits} == {"owl", "cat"}
    assert all(math.isfinite(finding.z) and finding.nats_per_row is not None for finding in verdict.traits)
    assert verdict.lineage.others == ()
    assert verdict.used == 48
