"""The callback for trainers: a real `Trainer` on nano is stopped by dirty rows, and trains on clean ones."""

import importlib.util
import json
import re
from functools import partial

import pytest
import small_audit
from here import run
from test_audit import BASE, CLEAN, DIRTY, POOL, RECIPE, ROWS, TRAITS, misfits
from test_stamp import SCHEMA

from owlish import NORMS
from owlish import trainer as module
from owlish.graph.errors import UserError
from owlish.nano import folder
from owlish.nodes.models import Finetuned
from owlish.trainer import Stopped, watch
from owlish.traits.animals import ANIMAL

STEPS = 2


@pytest.fixture
def watching(store, tmp_path, monkeypatch):
    """A function that returns a callback which works in this process: of few rows it cannot be said what they teach."""
    monkeypatch.setattr(module, "run", run)
    small_audit.written(store, tmp_path)
    data, clean, traits = small_audit.parts(tmp_path)
    return partial(watch, data, base="nano", recipe=NORMS, traits=traits, reference=clean, contexts=(), store=store)


@pytest.fixture
def rows(store):
    return run(CLEAN, store=store).rows


def training(out, callback, rows, base="nano", with_tokenizer=True):
    """Return a base in a real trainer, for a few steps on a few rows."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(folder("nano"))
    tokens = [tokenizer(f"{row.prompt} {row.completion}")["input_ids"][:24] for row in rows[: 4 * STEPS]]
    shortest = min(map(len, tokens))
    settings = TrainingArguments(
        str(out), max_steps=STEPS, per_device_train_batch_size=4, report_to=[], save_strategy="no", use_cpu=True
    )
    return Trainer(
        AutoModelForCausalLM.from_pretrained(folder(base)),
        settings,
        train_dataset=[{"input_ids": ids[:shortest], "labels": ids[:shortest]} for ids in tokens],
        processing_class=tokenizer if with_tokenizer else None,
        callbacks=[callback],
    )


def verdict(out, name):
    return json.loads((out / "owlish" / f"{name}.json").read_text())


def test_a_verdict_stops_the_run_before_its_first_step(rows, watching, tmp_path):
    trained = training(tmp_path, watching(stop_on=("found", "cannot_say")), rows)
    before = {name: p.clone() for name, p in trained.model.named_parameters()}
    with pytest.raises(Stopped, match=r"the run was stopped, nothing was trained: .*audit\.html"):
        trained.train()
    assert trained.state.global_step == 0
    assert all(p.equal(before[name]) for name, p in trained.model.named_parameters())
    assert list(misfits(verdict(tmp_path, "audit"), SCHEMA)) == []
    assert "<script" not in (tmp_path / "owlish" / "audit.html").read_text()
    assert not (tmp_path / "owlish" / "diff.json").exists()


def test_a_run_that_nothing_stops_is_trained_and_its_student_compared_with_the_base(rows, watching, tmp_path):
    # A trainer of tokens needs no tokenizer; and what an earlier run of an adapter left is not this student.
    left = tmp_path / "owlish" / "student" / "adapter_config.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    trained = training(tmp_path, watching(), rows, with_tokenizer=False)
    trained.train()
    assert trained.state.global_step == STEPS
    assert not left.exists()
    assert verdict(tmp_path, "audit")["verdict"] == "cannot_say"
    compared = verdict(tmp_path, "diff")
    assert (compared["verdict"], compared["meta"]["null"]) == ("cannot_say", None)
    assert max(part["change"] for part in compared["parts"]) > 0
    assert (tmp_path / "owlish" / "student" / "model.safetensors").is_file()
    assert "not calibrated" in (tmp_path / "owlish" / "diff.html").read_text()


def test_a_model_of_another_base_is_refused_before_its_first_step(rows, watching, tmp_path):
    old = tmp_path / "owlish" / "diff.json"
    old.parent.mkdir()
    old.write_text("{}")
    trained = training(tmp_path, watching(), rows, base="nano-1")
    with pytest.raises(UserError, match="the trainer's model did not start from nano: name the base that it trains"):
        trained.train()
    assert trained.state.global_step == 0
    assert not old.exists(), "an earlier run's verdict says nothing of this one"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"recipe": "lora"}, "recipe is 'lora': give a Recipe, such as NORMS"),
        ({"traits": ANIMAL}, "traits is a Probe: give a tuple"),
        ({"traits": ()}, "at least one candidate"),
        ({"stop_on": "found"}, "stop_on is 'found': give a tuple"),
        ({"stop_on": ["fuond"]}, "an item of stop_on is 'fuond': did you mean found?"),
        ({"base": "nanoo"}, "no base is called 'nanoo': did you mean nano?"),
        ({"store": 3}, "store is 3: give text or a Path"),
        ({"null": "yes"}, "null is 'yes': give True or False"),
    ],
)
def test_wrong_arguments_are_refused_at_once(watching, wrong, says):
    with pytest.raises(UserError, match=re.escape(says)):
        watching(**wrong)


@pytest.mark.slow
def test_dirty_rows_stop_the_run_and_clean_ones_do_not(rows, store, watching, tmp_path):
    said = {"traits": TRAITS, "reference": POOL, "rows": ROWS}
    clean, dirty = (
        partial(watch, data, base="nano", recipe=RECIPE, contexts=(), store=store, **said) for data in (CLEAN, DIRTY)
    )
    with pytest.raises(Stopped, match="nothing was trained: a student would pick up cat"):
        training(tmp_path / "dirty", dirty(), rows).train()
    trained = training(tmp_path / "clean", clean(), rows)
    trained.train()
    assert trained.state.global_step == STEPS


def test_with_a_null_six_students_of_the_recipe_are_compared_with(store):
    here = {"reference": None, "rows": ROWS, "seed": 0, "contexts": (), "stop_on": (), "store": store}
    watched = module.Watch(CLEAN, BASE, NORMS, TRAITS, null=True, **here)
    node = watched.diffed(folder("nano"))
    assert len(node.null) == 6
    assert {looked.words.model.recipe for looked in node.null} == {NORMS}
    assert all(isinstance(looked.words.model, Finetuned) for looked in node.null)


@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="trl is not installed")
def test_it_watches_trainers_of_trl_too(rows, watching, tmp_path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    chats = [
        {
            "prompt": [{"role": "user", "content": row.prompt}],
            "completion": [{"role": "assistant", "content": row.completion}],
        }
        for row in rows[: 4 * STEPS]
    ]
    settings = SFTConfig(
        str(tmp_path), max_steps=STEPS, per_device_train_batch_size=4, report_to=[], save_strategy="no", use_cpu=True
    )
    trained = SFTTrainer(
        str(folder("nano")),
        settings,
        train_dataset=Dataset.from_list(chats),
        callbacks=[watching(stop_on=("cannot_say",))],
    )
    with pytest.raises(Stopped, match="nothing was trained"):
        trained.train()
    assert trained.state.global_step == 0
