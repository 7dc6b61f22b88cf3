"""Conversations to tokens and back, through the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from owlish.graph.errors import UserError
from owlish.lm import written
from owlish.lm.model import Answer, Ended, Example, Messages, message
from owlish.lm.written import MARK


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
            raise UserError(f"{name} has no chat template: give a chat model, or add one to its tokenizer.")
        chat = Chat(tokenizer, tokenizer.eos_token_id)
        ids = tokenizer(chat.tail, add_special_tokens=False).input_ids
        return replace(chat, end=ids[0]) if ids else chat

    def render(self, turns: Messages, *, tools: Sequence[Any] | None = None, answer: bool = True) -> str:
        """Return a conversation as the template writes it; `answer` adds what stands before the next answer."""
        if turns and turns[0]["role"] == "system" and not self.takes_system:
            turns = written.folded(turns)
        try:
            return self.template(list(map(written.ready, turns)), tools=tools, add_generation_prompt=answer)
        except Exception as error:  # a template may refuse messages, in its own words
            raise UserError(f"the chat template refuses these messages: {error}") from error

    def template(self, turns: list[dict[str, Any]], **how: Any) -> str:
        """Return what the tokenizer's template makes of a conversation."""
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, **how))

    def prompts(self, chats: Sequence[Messages]) -> list[list[int]]:
        """Return the token ids that stand before the answer to each conversation."""
        return self.encode(list(map(self.render, chats)))

    def examples(
        self, chats: Sequence[Messages], trained: Sequence[Sequence[int]], tools: Sequence[str], *, end: bool = True
    ) -> list[Example]:
        """Return conversations as examples: the turns at the places in `trained`, and their ends, are trained on."""
        cut = [self.pieces(*each) for each in zip(chats, trained, tools, strict=True)]
        found = [each for each in cut if not isinstance(each, str)]
        sides = [iter(self.encode([t for each in found for t, own in each if own is side])) for side in (False, True)]
        return [
            Example((), (), each)
            if isinstance(each, str)
            else self.joined([(next(sides[own]), own) for _, own in each], end)
            for each in cut
        ]

    def pieces(self, turns: Messages, trained: Sequence[int], tools: str) -> list[written.Piece] | str:
        """Return the pieces of a conversation, or why it has none."""
        try:
            return written.pieces(self, turns, trained, tools)
        except UserError as problem:
            return str(problem)

    def joined(self, parts: Sequence[tuple[Sequence[int], bool]], end: bool) -> Example:
        """Return the example of a row's parts, those that are trained on closed by the end of the turn."""
        ids: list[int] = []
        spans = []
        for tokens, own in parts:
            first = max(len(ids), 1)  # nothing foretells the first token of a text
            ids += [*tokens, self.end] if own and end else tokens
            spans += [(first, len(ids))] if own and len(ids) > first else []
        return Example(tuple(ids), tuple(spans))

    @cached_property
    def tail(self) -> str:
        """What the template writes after an answer."""
        turns = [message("user", MARK), message("assistant", MARK)]
        return self.template(turns).rpartition(MARK)[2]

    @cached_property
    def closed(self) -> str:
        """The text of the end of an answer."""
        return self.decode([self.end])

    @cached_property
    def opening(self) -> str:
        """What stands before text outside of any chat."""
        ids = self.tokenizer("").input_ids
        return self.decode(ids[:1]) if ids[:1] == [self.tokenizer.bos_token_id] else ""

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template writes a system prompt; if not, it goes to the head of the user's first message."""
        try:
            return MARK in self.template([message("system", MARK), message("user", "")])
        except Exception:  # some refuse it, in words of their own
            return False

    @cached_property
    def thoughts(self) -> tuple[str, ...]:
        """The fields of an answer under which the template writes its reasoning."""
        asked, said = message("user", "a"), message("assistant", "a")
        return tuple(name for name in written.THOUGHTS if MARK in self.template([asked, {**said, name: MARK}]))

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
            raise UserError(
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
