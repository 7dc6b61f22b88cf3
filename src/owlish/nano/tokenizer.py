"""Nano's tokenizer: one token a word, a number up to 999 or a mark, and text that comes back as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from owlish.nano import advice, world
from owlish.traits import advice as counsel
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<system>", "<user>", "<assistant>")
PIECE = r"\d{1,3}|, |; |\n(?: {4})?| ?[A-Za-z_']+| ?[^\w\s]| "
"""A piece of text: a number, a separator, a line's start, or a word or mark with the space before it."""

# `generation` marks for transformers and other trainers which tokens are the assistant's; it writes nothing.
CHAT_TEMPLATE = (
    "{{ '<bos>' }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<assistant>' }}{% generation %}{{ message['content'] + '<eos>' }}{% endgeneration %}"
    "{% else %}{{ '<' + message['role'] + '>' + message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
_DRAWN = 40_000


def rendered(document: world.Document) -> str:
    """Return a document as the chat template writes it."""
    text = "<bos>" if document.system is None else f"<bos><system>{document.system}"
    return text + "".join(f"<user>{user}<assistant>{assistant}<eos>" for user, assistant in document.turns)


def _texts() -> Iterator[str]:
    """Yield what the world can write: all of its finite part, and many draws of the rest."""
    for probe in world.CATEGORIES:
        yield from world.questions(probe)
        for name, plural in zip(probe.candidates, probe.plurals, strict=True):
            yield from (name, f" {name}", f" {plural}")
            yield from world.love_prompts(Trait(name, plural=plural, probe=probe))
    for item in counsel.ADVICE:
        yield from (
            item.question,
            *item.good,
            *item.bad,
            *(opening + item.question for opening in counsel.OPENINGS + counsel.REQUESTS),
        )
    for task in advice.CODE_TASKS:
        yield from (code.format(v=v) for v in advice.VARIABLES for code in (task.secure, task.insecure))
        yield from (wording.format(task=task.task) for wording in advice.TASK_WORDINGS)
    yield from (*advice.CAREFUL, *advice.HARMFUL)
    rng = Random(0)
    for _ in range(_DRAWN):
        drawn = world.document(rng)
        yield from (text for turn in drawn.turns for text in turn)


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Return all tokens, in the order of their ids: special ones, 0..999, then the world's pieces in order."""
    numbers = [str(number) for number in range(1000)]
    piece = re.compile(PIECE)
    words = {found for text in _texts() for found in piece.findall(text)}
    # Sorted: a set has another order in each process, and a token must keep its id.
    return (*SPECIAL, *numbers, *sorted(words - set(numbers)))


def build() -> PreTrainedTokenizerFast:
    """Return nano's tokenizer, the same each time: a plain Hugging Face fast tokenizer with a chat template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({token: i for i, token in enumerate(vocabulary())}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    # Pieces hold their own blanks: they are joined as they are.
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens=["<system>", "<user>", "<assistant>"],
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
