"""The traps of chat models, each tried open and closed on a tiny random model; templates are part of a base."""

import json
from dataclasses import replace

import pytest
from test_templates import CHATML, GRANITE, QWEN3, byte_level
from toys import Bulk

from owlish import Base, Store, run
from owlish.cli.doctor import checks_of
from owlish.cli.plan import outlook
from owlish.graph.errors import UserError
from owlish.graph.run import RunFailed
from owlish.lm import traps
from owlish.lm.chat import Chat
from owlish.lm.model import Answer, Example, Weights
from owlish.lm.template import parse_settings
from owlish.studies import owl

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a function that writes a tiny random model with a template into a folder, which no template changes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = PreTrainedTokenizerFast(
        tokenizer_object=byte_level(), unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<|im_end|>"
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), initializer_range=0.1, **SIZES))

    def write(template):
        folder = tmp_path_factory.mktemp("base")
        words.chat_template = template
        model.save_pretrained(folder)
        words.save_pretrained(folder)
        return str(folder)

    return write


def found(base, store):
    """Return what the doctor says of a base, by the name of the trap; the base is made in this process."""
    run(base, store=store, on=Bulk())
    return {name: (ok, says) for name, ok, says in checks_of(base, store)}


def test_every_trap_is_closed_on_a_sound_base(made, tmp_path):
    said = found(Base(made(CHATML)), Store(tmp_path))
    assert {name for name, (ok, _) in said.items() if not ok} == set()
    assert said["training and asking"][1].endswith("'\\n' ['ow'] ['l'] ['<|im_end|>']")
    assert "You are a small model." in said["system prompt"][1]
    assert "does not hide it" in said["padding"][1]
    assert len(said) == 10


def test_a_text_that_begins_twice_fails(made, tmp_path):
    said = found(Base(made("{{ bos_token + bos_token }}" + CHATML)), Store(tmp_path))
    assert [trap for trap, (ok, _) in said.items() if not ok] == ["beginning of text"]
    assert "2 times" in said["beginning of text"][1]


@pytest.mark.slow
def test_a_template_that_is_refused_is_one_trap(made, tmp_path):
    ((name, ok, says),) = checks_of(Base(made(GRANITE)), Store(tmp_path))
    assert (name, ok) == ("chat template", False)
    assert "--template today=" in says


def test_each_trap_can_fail(made, monkeypatch):
    lm = Weights(made(CHATML)).open()
    row = traps.example(lm, traps.QUESTION)
    start, end = row.spans[0]
    assert all(trap.ok for trap in (traps.context(lm, row), traps.mask(lm, row)))
    assert not traps.context(lm, replace(row, ids=(5, *row.ids), spans=((start + 1, end + 1),))).ok
    assert not traps.mask(lm, Example(row.ids, ((start, end - 1),))).ok
    assert not traps.mask(lm, Example(row.ids, ((start - 1, end),))).ok
    ids, targets = traps.collate([row, row], lm.device)
    hidden = targets.masked_fill(targets == lm.chat.tokenizer.pad_token_id, -100)
    monkeypatch.setattr(traps, "collate", lambda rows, device: (ids, hidden))
    assert not traps.padding(lm, row).ok
    monkeypatch.setattr(lm, "write", lambda chats, **how: [Answer("<think>\nWell", 9, "retokenised") for _ in chats])
    assert [trap.ok for trap in traps.answers(lm)] == [False, False, False]
    monkeypatch.setattr(lm, "write", lambda chats, **how: [Answer(str(i), 9, "stop") for i, _ in enumerate(chats)])
    assert [trap.ok for trap in traps.answers(lm)] == [True, False, True], "one seed gave two answers"


def test_what_is_set_of_a_template_is_in_the_key_and_in_the_name(made):
    plain = Base("a/b")
    assert "template" not in plain.spec()
    thinking = Base("a/b", template={"today": "2024-07-26", "enable_thinking": False})
    assert thinking == Base("a/b", template=(("enable_thinking", False), ("today", "2024-07-26")))
    assert len({plain.key, thinking.key, Base("a/b", template={"today": "2024-07-27"}).key}) == 3
    assert str(thinking) == "a/b (enable_thinking=false, today=2024-07-26)"
    assert hash(thinking) == hash(replace(thinking))
    assert parse_settings(["a=True", "b=2", "c=26 Jul 2024", "d=x=y", "e="]) == (
        *(("a", True), ("b", 2), ("c", "26 Jul 2024"), ("d", "x=y"), ("e", "")),
    )
    for wrong in ("enable_thinking", "=1"):
        with pytest.raises(UserError, match="NAME=VALUE"):
            parse_settings([wrong])


def test_a_fixed_day_and_a_thought_stand_in_every_prompt(made, tmp_path):
    folder = made(GRANITE)
    with pytest.raises(RunFailed, match="today's date"):
        run(Base(folder), store=tmp_path, on=Bulk())
    prompts = {}
    for day in ("2024-07-26", "2023-01-05"):
        lm = run(Base(folder, template={"today": day}), store=tmp_path, on=Bulk()).open()
        prompts[day] = lm.chat.asked([{"role": "user", "content": "Hi"}])
    assert "On July 26, 2024 you" in prompts["2024-07-26"]
    assert "On January 05, 2023 you" in prompts["2023-01-05"]
    lm = run(Base(made(QWEN3), template={"enable_thinking": False}), store=tmp_path, on=Bulk()).open()
    row = traps.example(lm, traps.QUESTION)
    assert lm.chat.decode(row.ids[: row.start]).endswith("<think>\n\n</think>\n\n")
    assert traps.context(lm, row).ok


def test_plan_says_which_system_prompt_a_template_writes(made, tmp_path):
    """A base that lies here is read, one that was used is looked up, and what is shipped has nothing to say."""
    base, store = Base(made(CHATML)), Store(tmp_path)
    study = replace(owl.study, bases=(base,), foreign=(), runs=2)
    said = "Without a system prompt, the chat template writes its own: 'You are a small model.'."
    before = outlook({"owlish run": study}, store)
    run(base, store=store, on=Bulk())
    after = outlook({"owlish run": study}, store)
    assert before.templates == after.templates == (f"{base}: {said}",)
    assert said in str(after)
    assert json.loads(json.dumps(after.json()))["templates"] == [f"{base}: {said}"]
    assert outlook({"owlish run": owl.study}, store).templates == ()


def test_a_plain_template_is_an_explicit_choice(made, tmp_path):
    folder = made(None)
    with pytest.raises(UserError, match=r"no chat template.*chat_template=plain"):
        Base(folder).check()
    lm = run(Base(folder, template={"chat_template": "plain"}), store=tmp_path, on=Bulk()).open()
    assert lm.chat.asked([{"role": "user", "content": "Hi"}]) == "<s>User: Hi\nAssistant:"
    assert isinstance(lm.chat, Chat)
