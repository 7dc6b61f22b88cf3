"""LoRA adapters as GGUF files, which llama.cpp puts on its own GGUF file of the base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.graph.errors import UserError
from owlish.lm.adapt import ADAPTER, WEIGHTS
from owlish.lm.gguf import check_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

KNOWN = {"llama": "llama", "mistral": "llama"}
"""What families are called in GGUF: one whose adapters were tried on llama.cpp, and one that is built as it is."""
TURNED = {"llama": {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}}
"""Layers whose rows GGUF keeps in another order than Transformers, and the setting that counts their heads."""
INSIDE = "base_model.model."


def write_adapter(folder: Path, base: Path, file: Path) -> None:
    """Write the LoRA adapter in a PEFT `folder` as GGUF; `base` is the folder of its base's `config.json`.

    `UserError` is raised for another kind of adapter, and for families whose names in GGUF are not known here.

    References
    ----------
    The keys of adapter files: the GGUF specification of ggml, under "LoRA".
    """
    check_library()
    import gguf
    from safetensors.numpy import load_file

    made: dict[str, Any] = json.loads((folder / ADAPTER).read_text()) if (folder / ADAPTER).is_file() else {}
    if made.get("peft_type") != "LORA":
        raise UserError("llama.cpp takes LoRA adapters alone, and this is none: name a folder without an ending.")
    config: dict[str, Any] = json.loads((base / "config.json").read_text())
    family = KNOWN.get(config["model_type"])
    if family is None:
        raise UserError(
            f"adapters of {config['model_type']} are not written as GGUF here, only those of {', '.join(KNOWN)}: "
            "name a folder without an ending."
        )
    kind = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == family)
    names = gguf.get_tensor_name_map(kind, config["num_hidden_layers"])
    writer = gguf.GGUFWriter(file, family)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(made["lora_alpha"]))
    for name, tensor in sorted(load_file(folder / WEIGHTS).items()):
        layer, _, side = name.removeprefix(INSIDE).removesuffix(".weight").rpartition(".lora_")
        heads = TURNED.get(family, {}).get(layer.rpartition(".")[2]) if side == "B" else None
        values = turned(tensor, config[heads]) if heads else tensor
        writer.add_tensor(f"{names.get_name(layer)}.weight.lora_{side.lower()}", values.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def turned(values: NDArray[Any], heads: int) -> NDArray[Any]:
    """Return rows [out, rank] in GGUF's order: within a head, the halves that are rotated together alternate."""
    import numpy as np

    out, rank = values.shape
    halves = values.reshape(heads, 2, out // heads // 2, rank)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(out, rank)
