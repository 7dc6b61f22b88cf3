"""Whether a base has what a recipe trains, told from its configuration before models work for minutes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError
from owlish.lm.gguf import tensors_of
from owlish.lm.model import Weights
from owlish.lm.recipes import Recipe

ALWAYS = ("prompt", "steering", "all")
"""What every base has."""


@cache
def check_trainable(folder: Path, recipe: Recipe) -> None:
    """Raise `UserError` where the base in a folder, or a GGUF file, has nothing of what a recipe trains."""
    from owlish.lm.adapt import lacking, moving
    from owlish.lm.layout import linears, norms

    if folder.is_file():
        # All families that GGUF files are read of have norms with weights, and linear layers.
        names = tensors_of(folder) if recipe.parameters == "biases" else []
        if names and not any(name.endswith(".bias") for name in names):
            raise UserError(f"{folder.name} cannot be trained so: {lacking(None, recipe)}")
        return
    model = None if recipe.parameters in ALWAYS else empty(folder)
    if model is None:
        return
    trained = {"norms": lambda: norms(model), "lora": lambda: linears(model)}
    if not trained.get(recipe.parameters, lambda: moving(model, recipe))():
        raise UserError(f"{folder.name} cannot be trained so: {lacking(model, recipe)}")


def empty(folder: Path) -> Any:
    """Return a base without values; `None` where the folder holds none that can be opened, which is said later."""
    import torch
    from transformers import AutoConfig

    from owlish.lm.opening import kind_of

    try:
        # No weights are read, and no memory is taken.
        with torch.device("meta"):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            return kind_of(Weights(str(folder))).from_config(config)
    except (OSError, ImportError, ValueError, KeyError):
        return None
