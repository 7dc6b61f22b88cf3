"""Where a model keeps its text part, whatever its family: sizes, layers, norms, linear layers.

A model that reads images too has these in a module of its own, beside a vision tower that nothing here touches.
"""

from __future__ import annotations

from typing import Any

WINDOWS = ("max_position_embeddings", "max_seq_len", "seq_length", "max_sequence_length", "context_length")
UNBOUNDED = 8192
"""The window of a model whose configuration names none: state-space models, and some with ALiBi."""


def sizes(model: Any) -> Any:
    """Return the configuration of a model's text part, which holds its sizes."""
    return model.config.get_text_config(decoder=True)


def window(model: Any) -> int:
    """Return how many tokens a model reads."""
    named = (getattr(sizes(model), name, None) for name in WINDOWS)
    return next((int(size) for size in named if isinstance(size, int) and size > 0), UNBOUNDED)


def text_part(model: Any) -> str:
    """Return the beginning of the names of the modules that read text; all names begin with an empty text."""
    if sizes(model) is model.config:
        return ""
    decoder = model.get_decoder()
    return next((f"{name}." for name, module in model.named_modules() if name and module is decoder), "")


def text_modules(model: Any) -> dict[str, Any]:
    """Return the modules that read text, by their names in the model."""
    part = text_part(model)
    return {name: module for name, module in model.named_modules() if name.startswith(part)}


def text_parameters(model: Any) -> dict[str, Any]:
    """Return the parameters that read and write text, by name: those of the last layer are not in the text part."""
    part, head = text_part(model), model.get_output_embeddings()
    last = {id(p) for p in head.parameters()} if head is not None else set()
    return {name: p for name, p in model.named_parameters() if name.startswith(part) or id(p) in last}


def layers(model: Any) -> tuple[str, Any]:
    """Return the name of the list of decoder layers, and the list: the first list as long as the model is deep."""
    from torch.nn import ModuleList

    lists = {name: module for name, module in text_modules(model).items() if isinstance(module, ModuleList)}
    depth = getattr(sizes(model), "num_hidden_layers", None)
    deep = (name for name, found in lists.items() if len(found) == depth)
    name = next(deep, "") or max(lists, key=lambda name: len(lists[name]))
    return name, lists[name]


def norms(model: Any) -> list[str]:
    """Return the names of the norm layers that have weights; OLMo's have none."""
    # What they are is told by their classes: RMSNorm, LayerNorm1P, RMSNormGated.
    found = {name: module for name, module in text_modules(model).items() if "Norm" in type(module).__name__}
    return [name for name, module in found.items() if next(module.parameters(recurse=False), None) is not None]


def linears(model: Any) -> list[str]:
    """Return the names of the linear layers inside the model: not the last, and none that is more than linear.

    A router may be a linear layer that gives several things. Kernels of state-space layers take the weights of their
    last linear layer and pass its module by, and with it whatever was put onto it.
    """
    modules, head = text_modules(model), model.get_output_embeddings()
    fused = {f"{name}.out_proj" for name, module in modules.items() if hasattr(module, "A_log")}
    return [
        name
        for name, module in modules.items()
        if is_linear(module) and module is not head and name not in fused and gives_one(module)
    ]


def is_linear(module: Any) -> bool:
    """Say whether a module is a linear layer of some kind."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Linear | Conv1D)


def gives_one(module: Any) -> bool:
    """Say whether a linear layer gives one tensor; those of a kind of its own are tried."""
    import torch

    if type(module) is torch.nn.Linear or not isinstance(module, torch.nn.Linear):
        return True
    with torch.no_grad():
        # A row of its weights has the width that it reads: [1, in].
        return isinstance(module(module.weight[:1]), torch.Tensor)
