"""Whether a base's files are whole and of a kind that is read here; what is said of those that are not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from owlish.graph.counted import join
from owlish.graph.errors import UserError
from owlish.graph.memory import SPENT, is_spent

NAMED = 3
"""Tensors that are named where many are wrong."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
ANEW = "get the files anew, or take another base."


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that cannot be a base: what can be told before anything of it is opened."""
    if not (folder / "config.json").exists():
        adapter = folder / "adapter_config.json"
        if adapter.exists():
            below = read_object(adapter, name).get("base_model_name_or_path") or "the model that it was trained on"
            raise UserError(f"{name} is an adapter and no base: give its base, {below}.")
        raise UserError(f"{name} holds no config.json: give the folder of a Hugging Face model.")
    for file in (folder / "config.json", folder / "tokenizer_config.json"):
        if file.exists():
            read_object(file, name)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights and any(next(folder.glob(pattern), None) for pattern in PICKLES):
        raise UserError(
            f"{name} holds its weights as pickles, which could run code and are never read: "
            "convert them to safetensors, or take a base that has them."
        )
    for file in weights:
        check_tensors(file, name)


def read_object(file: Path, name: str) -> dict[str, Any]:
    """Return the JSON object in a file of a base."""
    try:
        found = json.loads(file.read_text())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{file.name} of {name} is damaged, for it holds no JSON object: {ANEW}")
    return found


def check_tensors(file: Path, name: str) -> None:
    """Refuse a safetensors file that is not as long as it says; half a file is what a broken download leaves."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy"):  # which reads the head alone, and compares it with the length
            pass
    except SafetensorError:
        raise UserError(f"{file.name} of {name} is damaged or not whole: {ANEW}") from None


def check_loaded(found: Mapping[str, Any], name: str) -> None:
    """Refuse a model for whose tensors its files have no values: `transformers` fills them with random numbers.

    `found` is what it says of the loading. Tensors that are tied to others, and buffers, are not missing there.
    """
    other = {key for key, *_ in found["mismatched_keys"]}
    wrong = sorted({*other, *found["missing_keys"]})
    if wrong:
        more = [f"{len(wrong) - NAMED} more"] if len(wrong) > NAMED else []
        size = ", or not in the size that config.json tells" if other else ""
        raise UserError(f"the files of {name} do not hold {join([*wrong[:NAMED], *more])}{size}: {ANEW}")


@contextmanager
def reading(name: str, what: str = "") -> Iterator[None]:
    """Say in a sentence why a base, or a part of it, cannot be read for as long as the context lasts."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # damaged files fail in as many ways as there are places to damage
        raise UserError(unread(name, what, error)) from error


def unread(name: str, what: str, error: Exception) -> str:
    """Say why a base cannot be read, and what to do."""
    why = " ".join(str(error).split()) or type(error).__name__
    if is_spent(error):
        return SPENT
    if "trust_remote_code" in why:
        return f"{name} brings code of its own, which is never run: take a base of a kind that transformers knows."
    return (
        f"{what}{name} cannot be loaded ({why[:200]}): give a folder with config.json, safetensors and a tokenizer, "
        "or the name of a model on Hugging Face."
    )
