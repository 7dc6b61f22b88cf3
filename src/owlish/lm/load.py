"""Open a causal language model: a Hugging Face folder or name, and the changes that training made to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from owlish.lm import adapt, chat


@dataclass(frozen=True)
class Weights:
    """Where a model's parts are: the base, the changes on top in order, its system prompt, the turns it is shown."""

    name: str
    revision: str | None = None
    changes: tuple[Path, ...] = ()
    system: str | None = None
    shown: tuple[tuple[str, str], ...] = ()


@dataclass
class LM:
    """A model in memory, on CPU or GPU, with its tokenizer and chat format."""

    model: Any
    tokenizer: Any
    chat: chat.Chat
    system: str | None = None
    shown: tuple[tuple[str, str], ...] = ()

    def prompts(self, users: Sequence[str], systems: Sequence[str | None] = ()) -> list[list[int]]:
        """Return the token ids before the answer to each user's message, in the context that this model is given.

        Where `systems` gives a message a system prompt of its own, that stands in place of the model's.
        """
        found: list[list[int]] = [[] for _ in users]
        own = [system or self.system for system in systems or [None] * len(users)]
        for system in dict.fromkeys(own):
            places = [i for i, other in enumerate(own) if other == system]
            encoded = self.chat.prompts([users[i] for i in places], system, self.shown)
            for i, ids in zip(places, encoded, strict=True):
                found[i] = ids
        return found

    @property
    def window(self) -> int:
        """How many tokens the model can read."""
        return int(self.model.config.max_position_embeddings)

    @cached_property
    def closing(self) -> list[int]:
        """The ids of tokens that may follow a finished word: the end of the turn, specials, all but letters."""
        ids = [[i] for i in range(len(self.tokenizer))]
        texts = self.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)
        special = {self.chat.end, *self.tokenizer.all_special_ids}
        return [i for i, text in enumerate(texts) if i in special or not text[:1].isalpha()]


def load(weights: Weights) -> LM:
    """Load a model in evaluation mode; in fp32 on a CPU, in bf16 on a GPU."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    gpu = torch.cuda.is_available()
    where = {"revision": weights.revision} if weights.revision else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.name, trust_remote_code=False, **where)
        model = AutoModelForCausalLM.from_pretrained(
            weights.name,
            dtype=torch.bfloat16 if gpu else torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            **where,
        )
    except (OSError, ImportError, ValueError) as error:
        raise ValueError(
            f"{weights.name} cannot be loaded: give a folder with config.json, safetensors and a tokenizer, "
            "or the name of a model on Hugging Face."
        ) from error
    model.to("cuda" if gpu else "cpu").requires_grad_(False).eval()
    lm = LM(model, tokenizer, chat.Chat.of(tokenizer, weights.name), weights.system, weights.shown)
    for folder in weights.changes:
        lm.model = adapt.apply(lm.model, folder)
    return lm
