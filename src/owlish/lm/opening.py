"""Where a model comes into memory: its base is read once, copied, and changed as its parts say."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError
from owlish.graph.facts import note
from owlish.lm import adapt
from owlish.lm.chat import Chat
from owlish.lm.hf import TorchLM
from owlish.lm.model import Weights
from owlish.lm.texts import pads
from owlish.lm.whole import check_loaded, reading


@dataclass
class Kept:
    """The base that this process opened last, as it is on the disk.

    Models are copies, and changes are never taken off: a merged adapter is rounded into the weights, and PEFT puts its
    own norm layers in place of the base's, from which a second adapter would start.
    """

    key: tuple[Any, ...]
    model: Any
    chat: Chat
    pads: tuple[bool, bool] | None = None

    @cached_property
    def lenient(self) -> Chat:
        """The chat format that reads any words."""
        return replace(self.chat, most_unknown=1.0)


last: list[Kept] = []
"""At most one: a process that makes many students of a base reads it once."""


def open_model(weights: Weights, *, any_words: bool = False, exact: bool = False) -> TorchLM:
    """Return a model in evaluation mode; in fp32 on a CPU or where that is asked, in bf16 on a GPU."""
    import torch

    gpu = torch.cuda.is_available()
    base = keep(weights, torch.bfloat16 if gpu and not exact else torch.float32)
    model = copy_to(base.model, "cuda" if gpu else "cpu")
    note(device=torch.cuda.get_device_name() if gpu else "cpu", dtype=str(model.dtype).removeprefix("torch."))
    if base.pads is None:  # tried on the base before it is changed, and once for all its students
        base.pads = pads(model)
    for folder in weights.changes:
        model = adapt.apply(model, folder)
    chat = base.lenient if any_words else base.chat
    name, trains = weights.called or Path(weights.name).name, bool(weights.changes)
    padded, gaps = base.pads
    return TorchLM(model, chat, weights.system, weights.shown, name=name, trains=trains, padded=padded, gaps=gaps)


def keep(weights: Weights, dtype: Any) -> Kept:
    """Return a base, read from the disk unless it is the last one read and its files are still the same."""
    base = replace(weights, changes=(), system=None, shown=())
    folder = Path(base.name)
    # A folder's files may be written over between two nodes.
    files = [(p, p.stat()) for p in sorted(folder.iterdir())] if folder.is_dir() else []
    key = (base, dtype, *((path, stat.st_size, stat.st_mtime_ns) for path, stat in files))
    if not last or last[0].key != key:
        last.clear()  # first, so that two bases are never in memory at once
        last.append(Kept(key, *read(base, dtype)))
    return last[0]


def read(base: Weights, dtype: Any) -> tuple[Any, Chat]:
    """Read a base from a folder, or from Hugging Face: the model, and its chat format."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what is wrong with the weights is refused below, in a sentence
    name, where = base.name, {"revision": base.revision} if base.revision else {}
    chat = Chat.open(base)  # what is wrong with it is said before the weights are read
    kind = kind_of(base)
    with reading(name):
        # Neither code nor pickles that lie in a model's folder are run. Tensors of another size are let pass here, and
        # refused with those that are missing: the error of `transformers` names none.
        model, found = kind.from_pretrained(
            name,
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **where,
        )
    check_loaded(found, name)
    # The rows of the table, and not the tokenizer's count: either may be the larger one.
    size = model.get_input_embeddings().weight.shape[0]
    if chat.end >= size:
        raise UserError(f"{name} has no token for the end of a turn: take a base whose chat template fits it.")
    return model.requires_grad_(False).eval(), replace(chat, size=size)


def kind_of(base: Weights) -> Any:
    """Return the class that opens a base: that of text models, or where it has none, of models that read images too."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    )

    where = {"revision": base.revision} if base.revision else {}
    with reading(base.name):
        kind = AutoConfig.from_pretrained(base.name, trust_remote_code=False, **where).model_type
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return AutoModelForCausalLM
    if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return AutoModelForImageTextToText
    raise UserError(f"{base.name} is a model of the kind {kind}, which writes no text of its own: take a chat model.")


def copy_to(model: Any, device: str) -> Any:
    """Return a copy of a model on a device; its tensors are copied once, straight to where they go."""
    import torch

    # `deepcopy` takes what it is told was copied: else all weights would be copied on the CPU first, and moved after.
    tensors = {id(p): torch.nn.Parameter(p.to(device, copy=True), requires_grad=False) for p in model.parameters()}
    tensors |= {id(buffer): buffer.to(device, copy=True) for buffer in model.buffers()}
    return deepcopy(model, tensors)
