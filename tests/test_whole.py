"""Files of a base that are torn, lacking or of another kind are refused in a sentence, and never opened half."""

import json
import shutil

import pytest
from test_families import build, tokenizer
from toys import Toy

from owlish import Base, Store
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.graph.worker import attempt
from owlish.lm import traps
from owlish.lm.chat import MISSED
from owlish.lm.model import Weights, ask

UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tiny base with nothing wrong."""
    return build("llama", tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it to damage."""
    return shutil.copytree(whole, tmp_path / "base")


def rewrite(folder, change):
    """Change the tensors of a base."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})


def test_tensors_that_are_missing_or_of_another_size_are_named(folder):
    rewrite(folder, lambda tensors: tensors.update({UP: tensors[UP][:10].contiguous()}))
    with pytest.raises(UserError, match=f"do not hold {UP}, or not in the size .* get the files anew"):
        Weights(str(folder)).open()
    rewrite(folder, lambda tensors: tensors.pop(UP))
    with pytest.raises(UserError, match=f"do not hold {UP}: get the files anew"):
        Weights(str(folder)).open()


def halve(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def pickle_weights(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def make_adapter(folder):
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')


DAMAGED = {
    "half the weights": (halve, "model.safetensors of .* is damaged or not whole: get the files anew"),
    "a pointer": (lambda f: (f / "model.safetensors").write_text("version https://git-lfs"), "not whole"),
    "a torn configuration": (lambda f: (f / "config.json").write_text('{"a'), "config.json of .* is damaged"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "config.json of .* is damaged"),
    "a torn tokenizer": (
        lambda f: (f / "tokenizer_config.json").write_text("{"),
        "tokenizer_config.json of .* damaged",
    ),
    "pickles": (pickle_weights, "pickles, which could run code .* convert them to safetensors"),
    "an adapter": (make_adapter, "is an adapter and no base: give its base, some/base"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_folder_is_refused_before_it_is_opened(folder, name):
    damage, says = DAMAGED[name]
    damage(folder)
    with pytest.raises(UserError, match=says):
        Base(str(folder)).check()


def test_a_base_is_refused_for_its_kind(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Mine"}}
    for more, says in ((own, "code of its own, which is never run"), ({"model_type": "t5"}, "of the kind t5")):
        (folder / "config.json").write_text(json.dumps(config | more))
        with pytest.raises(UserError, match=says):
            traps.remarks(Weights(str(folder)))
    (folder / "tokenizer.json").write_text("{")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"the tokenizer of .* cannot be loaded"):
        traps.remarks(Weights(str(folder)))
    with pytest.raises(UserError, match="is a file, and no GGUF file"):
        Base(str(folder / "config.json")).check()
    with pytest.raises(UserError, match="name of a base is empty"):
        Base("")


class Greedy(Toy, kind="greedy"):
    """A node that takes more memory than there is."""

    def compute(self, folder, read, tick):
        raise RuntimeError("unable to mmap 9 bytes from file <x>: Cannot allocate memory (12)")


def test_memory_that_runs_out_is_no_fault(whole, tmp_path, monkeypatch):
    what, says, _ = attempt(Greedy(), Store(tmp_path), lambda done, total: None)
    assert what == "refused"
    assert says.startswith("memory does not hold this base")
    from transformers import LlamaForCausalLM

    def spend(*args, **how):
        raise MemoryError

    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", spend)
    with pytest.raises(UserError, match="memory does not hold this base"):
        Weights(str(whole), called="another").open()


def digitless():
    """Return a tokenizer without digits, and without a token for what is unknown."""
    inner = json.loads(tokenizer().backend_tokenizer.to_str())
    words = [word for word in inner["model"]["vocab"] if not word.isdigit() and word != "<unk>"]
    inner["model"]["vocab"] = {word: i for i, word in enumerate(words)}
    inner["added_tokens"] = [dict(t, id=words.index(t["content"])) for t in inner["added_tokens"] if t["id"] < 3]
    return json.dumps(inner)


def test_letters_that_vanish_are_not_read(folder):
    (folder / "tokenizer.json").write_text(digitless())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "unk_token"}))
    lm = Weights(str(folder)).open(any_words=True)
    rows = [Row.of("owl", "cat"), Row.of("owl", "12, 7"), Row.of("1?", "cat")]
    assert [example.problem for example in lm.encode(rows)] == ["", MISSED, MISSED]
    assert [found is None for found in lm.score(rows)] == [False, True, True]
    with pytest.raises(UserError, match="no token for '17', as in"):
        lm.prompts([ask("owl"), ask("17, 7")])
    with pytest.raises(UserError, match="no token for '42'"):
        lm.answer_logprobs([ask("owl")], [[["42"]]])
    trap = traps.letters(lm.chat)
    assert not trap.ok
    assert "'0123456789'" in trap.says


def test_nothing_is_read_or_written_beyond_the_window(tmp_path):
    """GPT-2 has no position after its last: what lies beyond is an error there, and nonsense in other families."""
    lm = Weights(str(build("gpt2", tmp_path / "gpt2", n_positions=32, max_position_embeddings=32))).open()
    (length,) = lm.lengths([ask("owl")])
    answers = lm.write([ask("owl")] * 4, seeds=[(i,) for i in range(4)], new_tokens=60)
    assert max(answer.tokens for answer in answers) == 32 - length
    assert {answer.ended for answer in answers if answer.tokens == 32 - length} == {"length"}
    long = [ask("owl" * 9)]
    for asked in (
        lambda: lm.write(long, seeds=[(0,)], new_tokens=1),
        lambda: lm.first_logprobs(long),
        lambda: lm.answer_logprobs([ask("owl")], [[["o" * 20]]]),
        lambda: lm.probe([ask("owl")], [[["o" * 20]]], seeds=[[(0,)]], new_tokens=1),
    ):
        for lm.large in (False, True):
            with pytest.raises(UserError, match=r"a question has \d+ tokens .* reads 32: shorten the question"):
                asked()
