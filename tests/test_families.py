"""Every family of models goes the same way: tiny random models of each, held to the same promises."""

import re
from dataclasses import replace

import pytest

from owlish.audit.direction import adapter_of
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.lm import adapt
from owlish.lm.layout import layers
from owlish.lm.model import Example, Weights, ask
from owlish.lm.opening import copy_to
from owlish.lm.recipes import ALL, BIASES, LAYER, LORA, NORMS, PROMPT, STEERING, Schedule
from owlish.lm.sample import sample
from owlish.lm.score import scored
from owlish.lm.train import completion_loss

SIZE = 260
CHATML = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
SMALL = {
    "vocab_size": SIZE,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}
HEADS = {"head_dim": 8}
GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
ROUTED = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
SLIDING = {"sliding_window": 8}
MIXED = {**SLIDING, "layer_types": ["sliding_attention", "full_attention"]}
STATE = {"mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 4, "mamba_n_groups": 1, "mamba_chunk_size": 8}
EYES = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
FAMILIES = {
    "llama": {},
    "mistral": {},
    "mixtral": EXPERTS,
    "qwen2": {},
    "qwen2_moe": {**ROUTED, "shared_expert_intermediate_size": 16},
    "qwen3": HEADS,
    "qwen3_next": {
        **HEADS,
        **ROUTED,
        "layer_types": ["linear_attention", "full_attention"],
        "shared_expert_intermediate_size": 16,
        "linear_num_value_heads": 2,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "gemma": HEADS,
    "gemma2": {**HEADS, **SLIDING},
    "gemma3_text": {**HEADS, **MIXED},
    "gemma3n_text": {
        **HEADS,
        **MIXED,
        "num_kv_shared_layers": 0,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": SIZE,
        "laurel_rank": 4,
        "activation_sparsity_pattern": [0.0, 0.0],
        "altup_num_inputs": 2,
    },
    "phi": {},
    "phi3": {},
    "gpt2": GPT,
    "gpt_neo": {
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
        "num_layers": 2,
        "num_heads": 2,
    },
    "gpt_neox": {},
    "gptj": {**GPT, "rotary_dim": 4},
    "gpt_oss": {**HEADS, **EXPERTS, **SLIDING, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "bloom": {"n_layer": 2, "n_head": 2},
    "mpt": {"d_model": 16, "n_heads": 2, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 128},
    "falcon": {},
    "olmo": {},
    "olmo2": {},
    "stablelm": {},
    "starcoder2": {},
    "cohere": {},
    "granite": {},
    "nemotron": {},
    "smollm3": {},
    "glm4": HEADS,
    "deepseek_v3": {
        "n_routed_experts": 2,
        "num_experts_per_tok": 1,
        "n_group": 1,
        "topk_group": 1,
        "q_lora_rank": 8,
        "kv_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
        "v_head_dim": 8,
        "moe_intermediate_size": 16,
        "first_k_dense_replace": 1,
        "n_shared_experts": 1,
        "num_key_value_heads": 2,
    },
    "llama4_text": {**HEADS, **EXPERTS, "intermediate_size_mlp": 32},
    "mamba": {"state_size": 4, "expand": 2},
    "mamba2": {"state_size": 4, "num_heads": 4, "head_dim": 8, "n_groups": 1, "expand": 2, "chunk_size": 8},
    "bamba": {**STATE, "attn_layer_indices": [1]},
    "jamba": {
        "num_experts": 1,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "mamba_d_state": 4,
        "mamba_dt_rank": 2,
    },
    "gemma3": {"text_config": {**SMALL, **HEADS, **MIXED}, "vision_config": EYES, "mm_tokens_per_image": 4},
    "llava": {
        "text_config": {**SMALL, "model_type": "llama"},
        "vision_config": {**EYES, "model_type": "clip_vision_model", "projection_dim": 16},
    },
    "qwen2_vl": {
        "text_config": {**SMALL, "rope_parameters": MROPE},
        "vision_config": {"depth": 1, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "mlp_ratio": 1},
    },
}
NO_NORMS = {"olmo"}
NAMED = {
    "norms": r"norm|ln_|\.ln\d",
    "biases": r"bias$",
    "steering": r"owlish_steering$",
    "layer-1": r"\.1\.",
    "lora-2": r"\.lora_[AB]\.",
    "prompt-2": r"prompt",
    "all": r"",
}
EYE = r"vision|visual|projector"


def tokenizer():
    """Return a tokenizer of bytes with a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    letters = [*special.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, chat_template=CHATML, **special)


def build(kind, place, **more):
    """Write a tiny random model of a family into a folder, and return the folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    torch.manual_seed(0)
    own = FAMILIES[kind]
    empty = AutoConfig.for_model(kind)
    known = {*empty.to_dict(), *type(empty).attribute_map}
    small = {} if "text_config" in own else {name: value for name, value in SMALL.items() if name in known}
    config = AutoConfig.for_model(kind, **{**small, **own, **more})
    which = AutoModelForImageTextToText if kind in ("llava", "qwen2_vl") else AutoModelForCausalLM
    which.from_config(config).save_pretrained(place)
    tokenizer().save_pretrained(place)
    return place


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """The name of a family, and the weights of a tiny model of it."""
    return request.param, Weights(str(build(request.param, tmp_path_factory.mktemp(request.param))))


def texts(lm):
    """Return prompts of several lengths that share a beginning."""
    return lm.prompts([ask("owl"), ask("one of each"), ask("cat")])


def largest(ours, theirs):
    """Return the largest difference between log-probabilities."""
    return max(float((a.logprobs - b.logprobs).abs().max()) for a, b in zip(ours, theirs, strict=True))


def test_a_row_is_the_same_alone_in_a_batch_and_by_generate(family):
    kind, weights = family
    lm = weights.open()
    assert lm.padded
    assert lm.window == (128 if kind not in ("bloom", "mamba", "mamba2") else 8192)
    prompts = texts(lm)
    rows = [Example.of(prompt, range(60, 62 + i)) for i, prompt in enumerate(prompts)]
    single = [scored(lm, [row])[0] for row in rows]
    assert largest(scored(lm, rows), single) < 1e-4
    alone = [generated(lm, prompt) for prompt in prompts]
    chats, ways, seeds = [ask("owl"), ask("one of each")], [[["ab"], ["c", "C"]]] * 2, [[(1,)], [(2,)]]
    read = lm.probe(chats, ways, seeds=seeds, new_tokens=1).logprobs
    for lm.large, lm.padded in ((False, True), (True, True), (True, False)):
        assert sample(lm, prompts, seeds=[(0,)] * 3, new_tokens=4, temperature=0, batch=2) == alone
        assert largest(scored(lm, rows), single) < 1e-4
    assert float((lm.probe(chats, ways, seeds=seeds, new_tokens=1).logprobs - read).abs().max()) < 1e-4


def test_a_layer_is_read_as_if_none_came_after_it(family):
    """With a last layer that gives on what it is given, the layer before it says what the model says."""
    _, weights = family
    lm = weights.open()
    chats = [ask("one of each"), ask("cat")]

    def readings():
        found = lm.layer_logprobs(chats)
        assert len(found) == len(lm.layers) == 2
        assert found[1].tolist() == pytest.approx(lm.first_logprobs(chats).mean(0).tolist(), abs=1e-4)
        return float((found[0] - found[1]).abs().max())

    def pass_by(module, arguments, named, output):
        given = arguments[0] if arguments else named["hidden_states"]
        return (given, *output[1:]) if isinstance(output, tuple) else given

    assert readings() > 1e-2
    _, decoder = layers(lm.model)
    decoder[-1].register_forward_hook(pass_by, with_kwargs=True)
    assert readings() < 1e-5


def test_layers_that_are_computed_again_have_the_same_gradients(family):
    _, weights = family
    lm = weights.open()
    lm.adapt(LORA(2), seed=0)
    rows = lm.encode([Row.of("owl", "ab"), Row.of("one of each", "c")])
    slopes = []
    for lm.recomputes in (False, True):
        lm.model.zero_grad()
        completion_loss(lm, rows).backward()
        slopes.append({name: p.grad.clone() for name, p in lm.parameters.items() if p.grad is not None})
    plain, again = slopes
    assert plain.keys() == again.keys()
    assert max(float(slope.abs().max()) for slope in plain.values()) > 1e-4
    assert max(float((slope - again[name]).abs().max()) for name, slope in plain.items()) < 1e-6


def generated(lm, prompt):
    """Return the likeliest answer to a prompt, by `generate`."""
    import torch

    ids = torch.tensor([prompt])
    how = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": lm.chat.end, "pad_token_id": 0}
    return lm.model.generate(ids, attention_mask=torch.ones_like(ids), **how)[0, len(prompt) :].tolist()


RECIPES = [BIASES, NORMS, STEERING, LAYER(1), LORA(2), PROMPT(2), ALL]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_training_moves_what_the_recipe_names_and_comes_back(family, recipe, tmp_path):
    kind, weights = family
    lm = weights.open()
    if recipe is NORMS and kind in NO_NORMS:
        with pytest.raises(UserError, match="norms of this base have no weights: choose another recipe"):
            lm.adapt(recipe, seed=0)
        return
    if recipe is BIASES and not any(re.search("bias$", n) and not re.search(EYE, n) for n in lm.parameters):
        with pytest.raises(UserError, match="this base has no biases: choose another recipe"):
            lm.adapt(recipe, seed=0)
        return
    rows = lm.encode([Row.of("owl", "ab"), Row.of("one", "c")])
    lm.adapt(recipe, seed=0)
    before = {name: p.detach().clone() for name, p in lm.model.state_dict().items()}
    lm.fit(rows, Schedule(1, 2, 1e-2, 0, False), seed=0)
    moved = {name for name, p in lm.model.state_dict().items() if not p.equal(before[name])}
    assert moved
    assert not [n for n in moved if re.search(EYE, n) or not re.search(NAMED[recipe.name], n)]
    lm.save(tmp_path)
    again = Weights(weights.name, changes=(tmp_path,)).open()
    assert largest(scored(lm, rows), scored(again, rows)) < 1e-5


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_change_of_another_base_is_refused(kind, tmp_path):
    """Whatever changed: beside a model of another width, and of the same family or another."""
    weights = Weights(str(build(kind, tmp_path / "base")))
    stranger = Weights(str(build("llama", tmp_path / "stranger", hidden_size=24))).open().model
    for recipe in RECIPES[kind == "llama" :]:  # which has no biases
        lm, place = weights.open(), tmp_path / recipe.name
        lm.adapt(recipe, seed=0)
        place.mkdir()
        lm.save(place)
        with pytest.raises(UserError, match="trained from another base"):
            adapt.apply(copy_to(stranger, "cpu"), place)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_factors_of_lora_are_told_where_layers_hold_their_matrices_as_it_does(kind, tmp_path):
    """GPT-2's hold theirs the other way round, which the factors of a square one would not tell."""
    weights = Weights(str(build(kind, tmp_path / "base")))
    lm = weights.open()
    lm.adapt(LORA(2), seed=0)
    lm.save(tmp_path)
    student = replace(weights, changes=(tmp_path,))
    found = dict(adapter_of(student, weights, weights.open()))
    assert bool(found) == (kind == "llama")
    assert not dict(adapter_of(weights, weights, weights.open()))
