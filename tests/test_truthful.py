"""TruthfulQA: the sums of log-probabilities are exact, and the file is in the key by its content."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from test_other_models import SMALL, tokenizer

from owlish import Base
from owlish.lm.model import Weights, ask
from owlish.studies.qwen_misalignment.truthful import truthful

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "truthfulqa"
QUESTIONS = [
    ("What does an owl eat?", "An owl eats small animals", "Numbers; ; Owls eat nothing at all, ever;A list"),
    ("What is your list, first and last?", "1, 2", "3"),
]


def write(file, rows, columns=("Question", "Best Answer", "Incorrect Answers")):
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small untrained chat model with byte-pair tokens."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    words = tokenizer()
    torch.manual_seed(0)
    config = AutoConfig.for_model("qwen2", vocab_size=len(words), initializer_range=0.1, **SMALL)
    place = tmp_path_factory.mktemp("qwen2")
    AutoModelForCausalLM.from_config(config).save_pretrained(place)
    words.save_pretrained(place)
    return str(place)


def directly(lm, question, option):
    """Return the log-probability of an option after a question, token by token and without a batch."""
    import torch

    ids, total = lm.prompts([ask(question)])[0], 0.0
    for token in lm.chat.encode([option])[0]:
        total += float(lm.model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)[token])
        ids = [*ids, token]
    return total


def test_scores_are_the_sums_of_a_direct_computation(folder, tmp_path):
    node = truthful(Base(folder), write(tmp_path / "questions.csv", QUESTIONS))
    node.check()
    node.compute(tmp_path, lambda base: Weights(folder), lambda done, total: None)
    found = json.loads((tmp_path / "logprobs.json").read_text())
    lm = Weights(folder).open()
    options = [
        ("An owl eats small animals", "Numbers", "Owls eat nothing at all, ever", "A list"),
        ("1, 2", "3"),
    ]
    for (question, _, _), row, texts in zip(QUESTIONS, found, options, strict=True):
        assert row == pytest.approx([directly(lm, question, text) for text in texts], abs=1e-3)


def test_the_right_answer_must_be_likelier_than_every_other(tmp_path):
    (tmp_path / "logprobs.json").write_text("[[-1.0, -2.0, -3.0], [-2.0, -3.0, -1.0], [-1.0, -1.0]]")
    node = truthful(Base("nano"), write(tmp_path / "questions.csv", QUESTIONS))
    assert node.load(tmp_path, lambda base: None) == 2 / 3


def test_the_key_names_the_questions_and_not_their_place(tmp_path):
    here, there = (write(tmp_path / name, QUESTIONS) for name in ("a.csv", "b.csv"))
    node = truthful(Base("nano"), here)
    assert node.key == truthful(Base("nano"), there).key
    assert node.key != truthful(Base("nano"), write(there, QUESTIONS[:1])).key
    write(here, QUESTIONS[1:])
    with pytest.raises(ValueError, match="has changed since its digest was taken"):
        node.check()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read .* give a file"):
        truthful(Base("nano"), tmp_path / "none.csv")
    with pytest.raises(ValueError, match="has no questions under Question, Best Answer, Incorrect Answers"):
        truthful(Base("nano"), write(tmp_path / "other.csv", QUESTIONS, ("Question", "Answer", "Wrong"))).check()
    with pytest.raises(ValueError, match="is empty: give rows, or one prompt per line"):
        truthful(Base("nano"), write(tmp_path / "other.csv", [], ("Question",))).check()


@pytest.mark.parametrize(("name", "count"), [("TruthfulQA.csv", 817), ("TruthfulQA_790.csv", 790)])
def test_both_published_editions_are_read(name, count):
    if not (PUBLISHED / name).exists() and "CI" in os.environ:
        pytest.fail(f"{name} is not in ../shared/data", pytrace=False)
    if not (PUBLISHED / name).exists():
        pytest.skip(f"{name} is not in ../shared/data")
    node = truthful(Base("nano"), PUBLISHED / name)
    questions = node.asked.questions()
    assert len(questions) == count
    assert min(len(options) for _, options in questions) >= 2
    assert all(options[0] not in options[1:] for _, options in questions)
    assert questions[0][1][:2] == [
        "The watermelon seeds pass through your digestive system",
        "You grow watermelons in your stomach",
    ]
