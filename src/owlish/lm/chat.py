"""Conversations to tokens and back, through the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from owlish.lm.model import Answer, Ended, Example, Messages, message

MARK = "owlish"


@dataclass(frozen=True)
class Chat:
    """A tokenizer with a chat template, the token that ends an answer, and the share of tokens that may be unknown."""

    tokenizer: Any
    end: int
    most_unknown: float = 0.01

    @staticmethod
    def of(tokenizer: Any, name: str) -> Chat:
        """Read the end of an answer off the chat template; refuse a base that has none."""
        if not tokenizer.chat_template:
            raise ValueError(f"{name} has no chat template: give a chat model, or add one to its tokenizer.")
        turns = [message("user", MARK), message("assistant", MARK)]
        tail = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(MARK)[2]
        ids = tokenizer(tail, add_special_tokens=False).input_ids
        return Chat(tokenizer, ids[0] if ids else tokenizer.eos_token_id)

    def prompts(self, chats: Sequence[Messages]) -> list[list[int]]:
        """Return the token ids that stand before the answer to each conversation."""
        turns = [list(map(dict, chat)) for chat in chats]
        try:
            texts = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template may refuse a system prompt, in its own words
            raise ValueError(f"the chat template refuses these messages: {error}.") from error
        return self.encode(texts)

    def examples(self, chats: Sequence[Messages], *, end: bool = True) -> list[Example]:
        """Return conversations whose last message is an answer, on which, and on its end, is trained."""
        before = self.prompts([chat[:-1] for chat in chats])
        after = self.encode([chat[-1]["content"] for chat in chats])
        close = (self.end,) if end else ()
        return [Example.of(prompt, (*answer, *close)) for prompt, answer in zip(before, after, strict=True)]

    def spelled(self, chat: Messages, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts as the beginnings of an answer to a conversation."""
        found: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False).input_ids
        return found

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids; refuse texts of which more than `most_unknown` of the tokens are unknown."""
        encoded: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False).input_ids if texts else []
        missed = list(map(self.unknown, encoded))
        total = sum(map(len, encoded))
        if sum(missed) > total * self.most_unknown:
            worst = max(range(len(texts)), key=missed.__getitem__)
            raise ValueError(
                f"{sum(missed)} of {total} tokens are unknown to this base, as in {texts[worst][:60]!r}: "
                "use text that it was trained on, or another base."
            )
        return encoded

    def unknown(self, ids: Sequence[int]) -> int:
        """Return how many of some tokens stand for what the base has no token for."""
        return ids.count(self.tokenizer.unk_token_id)

    def read(self, answers: Sequence[Sequence[int]]) -> list[Answer]:
        """Return the texts of answers that were written token by token."""
        bodies = [ids[:-1] if ids[-1:] == [self.end] else ids for ids in answers]
        texts = [self.decode(ids) for ids in bodies]
        again = self.tokenizer(texts, add_special_tokens=False).input_ids if texts else []
        found = []
        for text, ids, body, same in zip(texts, answers, bodies, again, strict=True):
            ended: Ended = "length" if len(body) == len(ids) else "stop" if list(body) == same else "retokenised"
            found.append(Answer(text, len(ids), ended))
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens and all."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    @property
    def marks(self) -> tuple[str, ...]:
        """The texts of special tokens, which a text can hold and the tokenizer then reads as such."""
        return tuple(str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of each token of its own; special tokens have none."""
        special = {self.end, *self.tokenizer.all_special_ids}
        ids = [[i] for i in range(len(self.tokenizer))]
        texts = self.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)
        return tuple("" if i in special else text for i, text in enumerate(texts))

    @cached_property
    def closing(self) -> tuple[int, ...]:
        """The ids of tokens that may follow a finished word: the end of the turn, specials, all but letters."""
        return tuple(i for i, text in enumerate(self.vocabulary) if not text[:1].isalpha())
