"""A model of a store by its key alone: put together from what its entries hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from owlish.engines.address import address_of
from owlish.engines.served import Served
from owlish.graph.errors import UserError
from owlish.graph.store import Store
from owlish.lm.model import Weights
from owlish.nodes.asked import freeze
from owlish.nodes.base import Base
from owlish.nodes.engine import compared
from owlish.nodes.tuned import tuned_model

CHANGES = ("adapter_config.json", "parameters.safetensors")
"""The files of a model that training changed, of which its entry has one."""


def held_model(store: Store, key: str, folder: str | None = None) -> Weights | Served:
    """Return the model under a key; every entry that it is made of is compared with its digests.

    `folder` is where its base lies, if that is a folder of the user's: the store knows its content, and no place.
    """
    spec, entry = store.check(key)["spec"], store.folder(key)
    if spec["kind"] in ("base", "pretrained"):
        return held_base(store, key, spec, folder)
    if spec["kind"] == "engine" and (address := address_of(spec["server"])):
        return compared(entry, address)
    # By its files and not by its kind: there are more kinds of students than this room knows.
    changed = any((entry / name).is_file() for name in CHANGES)
    if not changed and spec["kind"] not in ("prompted", "shown", "tuned"):
        raise UserError(f"{key[:12]} ({spec['kind']}) is no model: give the key of a base, a teacher or a student.")
    below = held_model(store, spec["model"]["node"], folder)
    if spec["kind"] == "prompted":
        return replace(below, system=spec["system_prompt"])
    if spec["kind"] == "shown":
        # The rows that it is shown, as turns of the chat.
        return replace(below, shown=freeze(json.loads((entry / "shown.json").read_text())))
    if isinstance(below, Served):
        return tuned_model(below, entry)
    # In the order of training: each change was trained on top of those before it.
    return replace(below, changes=(*below.changes, entry))


def held_base(store: Store, key: str, spec: dict[str, Any], folder: str | None) -> Weights | Served:
    """Return a base of a store: from its entry, by its name, or from the folder that is given."""
    template = tuple((name, value) for name, value in spec.get("template", ()))
    if spec["kind"] == "pretrained" or spec["name"] == "gguf":
        return Weights(str(store.folder(key)), template=template)
    if spec["name"] == "folder" and folder is None:
        raise UserError(f"the base {key[:12]} lies in a folder, and the store does not say where: name it.")
    base = Base(folder if spec["name"] == "folder" and folder else spec["name"], spec["revision"], template)
    if base.key != key:
        raise UserError(f"{base} is not the base that {key[:12]} was: its files have changed; give those from then.")
    return store.read(base)
