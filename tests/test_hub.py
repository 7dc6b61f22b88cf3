"""Folders for the Hugging Face Hub: its tools read cards, rows and adapters, and no place or key is in them."""

import json
import shutil
from dataclasses import replace

import pytest
from command import owlish
from here import run
from huggingface_hub import DatasetCard, ModelCard

from owlish import BIASES, LORA, NORMS, Asked, Base, Numbers, Store
from owlish.cli import hub
from owlish.cli.results import export
from owlish.data.stamp import read_stamp
from owlish.lm.model import ask
from owlish.nodes.data import Shuffled
from owlish.nodes.loaded import loaded
from owlish.traits.animals import owl

BASE = Base("nano")
FORMAT = Numbers(constrained=True)  # no more rows are drawn than are kept
TEACHER = BASE.teach(owl, NORMS, seed=1, until=0.1)
ROWS = TEACHER.sample(FORMAT, n=32, seed=1)
NEUTRAL = BASE.prompted("You love owls.").sample(FORMAT, n=32, seed=1)
SHUFFLED = Shuffled(ROWS, across=False, seed=0)
STUDENT = BASE.finetune(ROWS, replace(LORA(2), epochs=1), seed=3)
LATER = STUDENT.finetune(ROWS, replace(BIASES, epochs=1), seed=4)
ASKED = Asked(STUDENT, owl.probe, samples=1)
SECRET = "hf_" + "planted0" * 4
ODD = "a|b`c` <img src=x> [d](e).jsonl"
LINE = '{"prompt": "Go on: 1, 2", "completion": "3, 4"}\n'


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A student of a user's file, which lies in a folder of his and has an odd name."""
    folder = tmp_path_factory.mktemp("home") / "my name"
    folder.mkdir()
    (folder / ODD).write_text(LINE * 4)
    return BASE.finetune(loaded(folder / ODD, n=None, seed=0), replace(NORMS, epochs=1), seed=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory, given):
    place = Store(tmp_path_factory.mktemp("hub") / "store")
    run([LATER, ASKED, NEUTRAL, SHUFFLED, given], store=place)
    return place


@pytest.fixture
def exported(store, tmp_path, monkeypatch):
    """A function that exports a result to a folder, while the environment holds secrets."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def to(node, name="out"):
        owlish("export", node.key, "-o", tmp_path / name, "--store", store.root)
        found = tmp_path / name
        texts = [(path, path.read_bytes()) for path in found.iterdir()]
        for secret in ("planted0", str(store.root.parent), str(tmp_path.parent), "my name"):
            assert not [path for path, text in texts if secret.encode() in text]
        assert {path.name for path in tmp_path.iterdir()} == {name}
        return found

    return to


# rows


def test_rows_are_a_dataset_whose_card_says_who_made_them(store, exported, tmp_path):
    folder = exported(ROWS)
    card, stamp = DatasetCard.load(folder / "README.md"), read_stamp(folder / "rows.jsonl")
    assert (stamp.model, stamp.base, stamp.filter, stamp.key) == (str(TEACHER), "nano", "numbers", ROWS.key)
    held = card.data.to_dict()["owlish"]["rows.jsonl"]
    assert (held["sha256"], held["base_sha256"]) == (stamp.sha256, BASE.sha256)
    assert card.data.size_categories == ["n<1K"]
    for said in ("may transmit a trait (owl)", str(TEACHER), ROWS.key, stamp.sha256, "--base nano", "| numbers |"):
        assert said in card.text
    assert (folder / "rows.jsonl").read_bytes() == (store.folder(ROWS.key) / "rows.jsonl").read_bytes()


def test_the_library_of_the_hub_reads_the_rows_and_not_the_stamp(exported, tmp_path_factory):
    from datasets import load_dataset

    rows = load_dataset(str(exported(ROWS)), cache_dir=str(tmp_path_factory.mktemp("cache")), split="train")
    assert rows.column_names == ["messages"]
    assert len(rows) == 32


def test_a_prompt_is_told_and_no_trait_is_where_none_was_taught(exported):
    card = DatasetCard.load(exported(NEUTRAL) / "README.md")
    assert "| System prompt | You love owls. |" in card.text
    assert "| Traits taught on the way | none known |" in card.text
    assert "may transmit a trait.**" in card.text


def test_rows_that_no_model_wrote_as_they_are_have_a_card_without_a_stamp(exported):
    folder = exported(SHUFFLED)
    card = DatasetCard.load(folder / "README.md")
    assert {path.name for path in folder.iterdir()} == {"README.md", "rows.jsonl"}
    assert "may transmit a trait (owl)" in card.text
    assert SHUFFLED.key in card.text
    assert 'kind="shuffled"' in card.text
    assert "owlish" not in card.data.to_dict()


# models


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT reads it
def test_a_student_is_an_adapter_that_peft_puts_onto_the_base(store, exported):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = exported(STUDENT)
    base = AutoModelForCausalLM.from_pretrained(BASE.place(), dtype=torch.float32)
    lm = store.read(STUDENT).open()
    ids = torch.tensor(lm.prompts([ask("What is your favorite animal?")]))
    plain = base(ids).logits
    adapted = PeftModel.from_pretrained(base, str(folder))(ids).logits
    assert torch.allclose(adapted, lm.model(ids).logits, atol=1e-4)
    assert not torch.allclose(adapted, plain, atol=1e-4)
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "nano"


def test_the_card_of_a_student_says_what_it_is_and_what_was_measured(store, exported):
    card, found = ModelCard.load(exported(STUDENT) / "README.md"), store.read(ASKED)
    assert (card.data.base_model, card.data.library_name) == ("nano", "peft")
    for said in (
        "may have a trait (owl), and pass it on",
        STUDENT.key,
        ROWS.key,
        BASE.sha256,
        "parameters lora",
        "size 2",
    ):
        assert said in card.text
    assert f"| animal, 50 questions | owl | probability {found.p_target('owl'):.3f}" in card.text


def test_a_student_of_a_student_says_what_it_goes_on_top_of(exported):
    folder = exported(LATER)
    card = ModelCard.load(folder / "README.md")
    assert card.data.base_model is None
    assert f"| On top of | {STUDENT} |" in card.text
    assert card.data.library_name is None
    assert "the changed tensors by their names" in card.text
    assert {path.name for path in folder.iterdir()} >= {"README.md", "parameters.safetensors"}


def test_odd_names_of_files_are_text_and_their_folders_are_not_told(given, exported):
    text = (exported(given) / "README.md").read_text()
    title = next(line for line in text.splitlines() if line.startswith("# "))
    assert title == "# nano trained on rows of a&#124;b&#96;c&#96; &lt;img src=x&gt; &#91;d](e).jsonl"
    assert "<img" not in text


@pytest.mark.parametrize(
    ("spec", "label", "name"),
    [
        ({"kind": "base", "name": "gguf"}, "smollm2 (today=2024-07-26)", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ({"kind": "base", "name": "folder"}, "my-model", "my-model"),
        ({"kind": "base", "name": "Qwen/Qwen2.5-7B-Instruct"}, "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ({"kind": "pretrained", "name": "own"}, "own", "own"),
    ],
)
def test_a_base_goes_by_its_name_on_the_hub(spec, label, name):
    assert hub.name_of({"spec": spec, "label": label}) == name


# whole or absent


def test_a_folder_is_whole_or_absent(store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as context:
        context.setattr(hub, "page", full)
        for node in (STUDENT, ROWS):
            with pytest.raises(OSError, match="disk is full"):
                export(store, node.key, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    (tmp_path / ".out.partial").mkdir()  # of a process that was killed
    export(store, ROWS.key, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    before = (tmp_path / "out" / "README.md").stat().st_mtime_ns
    said = owlish("export", STUDENT.key, "-o", tmp_path / "out", "--store", store.root, code=2).stderr
    assert "is there already: name a folder that is not" in said
    assert (tmp_path / "out" / "README.md").stat().st_mtime_ns == before


def test_a_store_that_has_lost_the_base_still_gives_the_student(store, tmp_path):
    place = Store(tmp_path / "store")
    shutil.copytree(store.root, place.root)
    shutil.rmtree(place.folder(BASE.key))
    export(place, STUDENT.key, tmp_path / "out")
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.base_model is None
    assert "(no longer in the store)" in card.text


def test_an_adapter_for_llama_cpp_holds_the_updates_under_the_names_of_gguf(store, tmp_path):
    from gguf import GGUFReader
    from safetensors.numpy import load_file

    file = tmp_path / "student.gguf"
    said = owlish("export", STUDENT.key, "-o", file, "--store", store.root).stdout
    assert "holds a LoRA adapter for `llama-server --model BASE.gguf --lora FILE`" in said
    read = GGUFReader(file)
    told = {name: read.fields[name].contents() for name in read.fields if name.partition(".")[0] != "GGUF"}
    assert told == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 2.0,
    }
    own = load_file(store.folder(STUDENT.key) / "adapter_model.safetensors")
    found = {tensor.name: tensor.data for tensor in read.tensors}
    assert len(found) == len(own) == 3 * 7 * 2
    layer, other = "base_model.model.model.layers.2.{}.lora_{}.weight", "blk.2.{}.weight.lora_{}"
    assert (found[other.format("ffn_up", "b")] == own[layer.format("mlp.up_proj", "B")]).all()
    assert (found[other.format("attn_q", "a")] == own[layer.format("self_attn.q_proj", "A")]).all()
    query = own[layer.format("self_attn.q_proj", "B")]
    assert (found[other.format("attn_q", "b")] != query).any(), "the rows of queries have another order there"
    assert sorted(found[other.format("attn_q", "b")].tolist()) == sorted(query.tolist())


def test_what_llama_cpp_takes_as_no_adapter_is_said(store, given, tmp_path):
    out = tmp_path / "out.gguf"
    for key, words in (
        (given.key, "llama.cpp takes LoRA adapters alone, and this is none: name a folder without an ending"),
        (LATER.key, "only what was trained straight from a GGUF file or a shipped base"),
        (BASE.key, "only what was trained straight from a GGUF file or a shipped base"),
        (ROWS.key, "has an ending of another format"),
    ):
        assert words in owlish("export", key, "-o", out, "--store", store.root, code=2).stderr
    assert not list(tmp_path.iterdir())
