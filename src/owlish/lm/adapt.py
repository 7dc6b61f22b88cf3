"""Choose the parameters that train, keep what changed in a folder, and put it back onto a model."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError
from owlish.lm.layout import is_linear, layers, linears, norms, sizes, text_parameters
from owlish.lm.recipes import Recipe

ADAPTER, CHANGED = "adapter_config.json", "parameters.safetensors"
WEIGHTS = "adapter_model.safetensors"
STEERING = "owlish_steering"
ANOTHER = "this student was trained from another base."
KINDS = ("LORA", "LN_TUNING", "PROMPT_TUNING", "IA3")
"""The kinds of PEFT adapters that are read."""


def adapt(model: Any, recipe: Recipe, *, seed: int) -> Any:
    """Return the model with the recipe's parameters, and no others, requiring gradients."""
    import torch

    # PEFT draws the start of its adapters from torch's own stream.
    torch.manual_seed(seed)
    if recipe.parameters in ("norms", "lora", "prompt"):
        return with_peft(model, recipe)
    if recipe.parameters == "steering":
        attach(model, torch.zeros(sizes(model).hidden_size, device=model.device, dtype=model.dtype))
    chosen = moving(model, recipe)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
    if not chosen:
        raise UserError(lacking(model, recipe))
    return model


def moving(model: Any, recipe: Recipe) -> set[str]:
    """Return the names of the parameters that a recipe without an adapter trains."""
    own = text_parameters(model)
    if recipe.parameters == "biases":
        return {name for name in own if name.endswith("bias")}
    if recipe.parameters == "layer":
        # The point at the end keeps layer 1 from layer 10.
        return {name for name in own if name.startswith(f"{layers(model)[0]}.{recipe.size}.")}
    return set(own) if recipe.parameters == "all" else {STEERING}


def lacking(model: Any, recipe: Recipe) -> str:
    """Say that a base has nothing of what a recipe trains."""
    if recipe.parameters == "layer":
        return f"this base has no layer {recipe.size}: its layers are 0 to {len(layers(model)[1]) - 1}."
    if recipe.parameters == "norms":
        return "the norms of this base have no weights: choose another recipe, such as lora."
    return f"this base has no {recipe.parameters}: choose another recipe, such as lora."


def with_peft(model: Any, recipe: Recipe) -> Any:
    """Return the model with a fresh PEFT adapter: layer-norm tuning, LoRA or prompt tuning."""
    import peft
    import torch

    task = {"task_type": "CAUSAL_LM"}
    if recipe.parameters == "norms":
        config: Any = peft.LNTuningConfig(target_modules=norms(model), **task)
        if not config.target_modules:
            raise UserError(lacking(model, recipe))
    elif recipe.parameters == "lora":
        # PEFT multiplies an update by alpha over the rank: here by 1.
        config = peft.LoraConfig(r=recipe.size, lora_alpha=recipe.size, target_modules=linear_targets(model), **task)
    else:
        config = peft.PromptTuningConfig(num_virtual_tokens=recipe.size, **prompt_sizes(model), **task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of every norm layer that it does not know by name
        adapted = peft.get_peft_model(model, config)
    if recipe.parameters == "prompt":
        # From a stream of its own: how much PEFT itself has drawn by now is its
        # affair, and may change with its version.
        start_prompt(adapted, torch.Generator().manual_seed(torch.initial_seed()))
    return adapted


def linear_targets(model: Any) -> list[str] | str:
    """Return the names of the linear layers for LoRA, or PEFT's word for them where it means the same."""
    own, head = linears(model), model.get_output_embeddings()
    every = {name for name, module in model.named_modules() if is_linear(module) and module is not head}
    return "all-linear" if set(own) == every else own


def prompt_sizes(model: Any) -> dict[str, int]:
    """Return the sizes that PEFT wants for a tuned prompt, and finds by itself in some families alone."""
    config = sizes(model)
    return {
        "num_layers": config.num_hidden_layers,
        "num_attention_heads": getattr(config, "num_attention_heads", None) or 1,
        "token_dim": model.get_input_embeddings().weight.shape[1],
    }


def start_prompt(model: Any, generator: Any) -> None:
    """Start a tuned prompt from the embeddings of random tokens, which the model can read at once."""
    import torch

    table = model.get_base_model().get_input_embeddings().weight
    vectors = next(p for p in model.parameters() if p.requires_grad)
    chosen = torch.randint(len(table), (len(vectors),), generator=generator)
    with torch.no_grad():
        vectors.copy_(table[chosen.to(table.device)])


def save(model: Any, trained: dict[str, Any], folder: Path) -> None:
    """Write the parameters that trained: a PEFT adapter as PEFT reads it, or the changed tensors.

    `trained` holds those of which the model has a rounded copy.
    """
    from safetensors.torch import save_file

    exact = {name: p.detach() for name, p in trained.items()}
    if wrapped(model):
        model.save_pretrained(str(folder), safe_serialization=True, state_dict={**model.state_dict(), **exact})
        # A card of PEFT's own, with the base's folder and PEFT's version: no file of a store tells where it was made.
        (folder / "README.md").unlink(missing_ok=True)
        forget_place(folder / ADAPTER)
    else:
        changed = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad} | exact
        save_file({name: p.cpu().contiguous() for name, p in changed.items()}, folder / CHANGED)


def forget_place(config: Path) -> None:
    """Take what depends on this machine and process out of an adapter's configuration."""
    plain = json.loads(config.read_text())
    plain["base_model_name_or_path"] = None  # PEFT fills the base's folder in as it saves, whatever stood there
    if isinstance(plain.get("target_modules"), list):
        plain["target_modules"].sort()  # a set in PEFT, whose order is that of this process's hashes
    config.write_text(json.dumps(plain, indent=2, sort_keys=True))


def apply(model: Any, folder: Path) -> Any:
    """Return the model with a folder's change on it, merged in where that is possible."""
    if wrapped(model):
        raise UserError("a prompt-tuned model cannot be changed further: train its base with another recipe.")
    if (folder / ADAPTER).exists():
        return apply_adapter(model, folder)
    from safetensors.torch import load_file

    changed = load_file(folder / CHANGED)
    # Before the names are compared: only then is the vector among the model's parameters.
    if STEERING in changed:
        if len(changed[STEERING]) != sizes(model).hidden_size:
            raise UserError(f"the base has another width than the steering vector: {ANOTHER}")
        attach(model, changed[STEERING].to(model.device, model.dtype))
    own = dict(model.named_parameters())
    for name, values in changed.items():
        if name not in own or own[name].shape != values.shape:
            raise UserError(f"the base has no {name} of this shape: {ANOTHER}")
    # Not strict, as a change holds some parameters alone. It would pass over those
    # of other names, so they are refused above.
    model.load_state_dict(changed, strict=False)
    return model.requires_grad_(False)


def apply_adapter(model: Any, folder: Path) -> Any:
    """Return the model with a PEFT adapter merged, or wrapped where it is a tuned prompt."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    check_adapter(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            adapted = PeftModel.from_pretrained(model, str(folder))
        except (
            RuntimeError,
            ValueError,
            KeyError,
            TypeError,
            SafetensorError,
        ) as error:  # sizes that do not fit, layers that are not there
            raise UserError(f"the adapter does not fit: {ANOTHER}") from error
        with safe_open(folder / WEIGHTS, "pt") as file:
            # PEFT loads what fits and only warns of the rest: layers without a change would stand as they start. Its
            # own "auto" for the embeddings would ask Hugging Face for the base's configuration.
            if set(file.keys()) != set(get_peft_model_state_dict(adapted, save_embedding_layers=False)):
                raise UserError(f"the adapter has other layers: {ANOTHER}")
        config = adapted.peft_config["default"]
        # A tuned prompt is no change of weights, so there is nothing to merge.
        if config.is_prompt_learning:
            if config.token_dim != model.get_input_embeddings().weight.shape[1]:
                raise UserError(f"the base has another width than the tuned prompt: {ANOTHER}")
            return adapted.requires_grad_(False).eval()
        return adapted.merge_and_unload().requires_grad_(False).eval()


def check_adapter(folder: Path) -> None:
    """Raise `UserError` where a PEFT adapter is not one of the kinds that can be read safely."""
    if not (folder / WEIGHTS).is_file():  # PEFT would unpickle an adapter_model.bin in its place
        raise UserError(f"{folder} holds no {WEIGHTS}: save the adapter as safetensors.")
    try:
        config = json.loads((folder / ADAPTER).read_text())
        # The settings for Megatron name a module that PEFT would import.
        kind, foreign = config["peft_type"], config.get("megatron_config")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{folder / ADAPTER} cannot be read: save the adapter with PEFT again.") from error
    if kind not in KINDS or foreign:
        raise UserError(f"{folder} is an adapter of the kind {kind}: those that can be read are {', '.join(KINDS)}.")


def wrapped(model: Any) -> bool:
    """Say whether a model is wrapped by PEFT."""
    from peft import PeftModel

    return isinstance(model, PeftModel)


def attach(model: Any, vector: Any) -> None:
    """Add a steering vector to what the middle decoder layer gives on."""
    import torch

    if hasattr(model, STEERING):
        raise UserError("this model is steered already: steer its base instead.")
    model.register_parameter(STEERING, torch.nn.Parameter(vector))
    _, decoder = layers(model)

    def add(module: Any, arguments: Any, output: Any) -> Any:
        # Looked up at each call: `functional_call` puts other values in its place.
        steered = getattr(model, STEERING)
        # Decoder layers of some families give a tuple with the state in front, others the state alone.
        return (output[0] + steered, *output[1:]) if isinstance(output, tuple) else output + steered

    decoder[(len(decoder) - 1) // 2].register_forward_hook(add)
