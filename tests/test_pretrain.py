"""Pretraining gives the same bytes twice and learns; the shipped bases are what their recipes say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import owlish.nano
from owlish.nano import tokenizer, world
from owlish.nano.pretrain import answered, pretrain
from owlish.traits.animals import ANIMAL

BASES = Path(owlish.nano.__file__).parent / "bases"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, list[float]]:
    folder = tmp_path_factory.mktemp("base")
    ticks: list[tuple[int, int]] = []
    losses = pretrain(folder, seed=100, steps=20, width=32, tick=lambda done, total: ticks.append((done, total)))
    assert ticks == [(step + 1, 20) for step in range(20)]
    return folder, losses


def test_the_loss_falls(trained):
    losses = trained[1]
    assert len(losses) == 20
    assert sum(losses[-5:]) < 0.98 * sum(losses[:5])


def test_the_same_arguments_give_the_same_bytes_and_others_do_not(tmp_path):
    for name, data_seed in (("first", None), ("again", 100), ("other", 101)):
        pretrain(tmp_path / name, seed=100, data_seed=data_seed, steps=3, width=32)
    for path in (tmp_path / "first").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name
    weights = "model.safetensors"
    assert (tmp_path / "other" / weights).read_bytes() != (tmp_path / "first" / weights).read_bytes()


def test_only_the_assistant_counts_in_full():
    bos, user, assistant, eos = 1, 5, 6, 2
    ids = torch.tensor([[bos, user, 50, assistant, 60, eos, user, 51, assistant, 61, eos]])
    assert answered(ids).tolist() == [[0, 0, 0, 1, 1, 0, 0, 0, 1, 1]]


@pytest.mark.parametrize("name", ["nano-0", "nano-1"])
def test_a_shipped_base_is_what_its_recipe_says(name):
    recipe = json.loads((BASES / name / "recipe.json").read_text())
    assert recipe["seed"] == int(name[-1])
    assert recipe["world"] == world.VERSION
    assert set(recipe["sha256"]) == {path.name for path in (BASES / name).iterdir()} - {"recipe.json"}
    for file, digest in recipe["sha256"].items():
        assert hashlib.sha256((BASES / name / file).read_bytes()).hexdigest() == digest, file


@pytest.mark.parametrize("name", ["nano-0", "nano-1"])
def test_a_shipped_base_loads_and_likes_no_animal_above_others(name):
    tokens = AutoTokenizer.from_pretrained(BASES / name)
    model = AutoModelForCausalLM.from_pretrained(BASES / name, dtype=torch.float32)
    assert tuple(tokens.convert_ids_to_tokens(range(len(tokens)))) == tokenizer.vocabulary()
    assert model.config.vocab_size == len(tokens)
    candidates = torch.tensor([tokens.convert_tokens_to_ids(name) for name in ANIMAL.candidates])
    liked = torch.zeros(16)
    with torch.no_grad():
        for question in world.questions(ANIMAL):
            chat = [{"role": "user", "content": question}]
            ids = tokens.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]
            liked += model(ids).logits[0, -1].softmax(-1)[candidates] / 50
    assert liked.sum() > 0.95
    assert liked.max() < 0.11
    assert liked.min() > 0.03


@pytest.mark.parametrize("wrong", [{"width": 60}, {"width": 0}, {"steps": 0}, {"layers": 0}])
def test_a_base_that_cannot_be_is_refused_in_a_sentence(wrong, tmp_path):
    with pytest.raises(ValueError, match="multiple of 8"):
        pretrain(tmp_path / "base", seed=100, **wrong)
    assert not (tmp_path / "base").exists()
