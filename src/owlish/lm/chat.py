"""Text to tokens and back, through the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
        turns = [{"role": "user", "content": MARK}, {"role": "assistant", "content": MARK}]
        tail = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(MARK)[2]
        ids = tokenizer(tail, add_special_tokens=False).input_ids
        return Chat(tokenizer, ids[0] if ids else tokenizer.eos_token_id)

    def prompts(
        self, users: Sequence[str], system: str | None = None, shown: Sequence[tuple[str, str]] = ()
    ) -> list[list[int]]:
        """Return the token ids that stand before the answer to each user's message, `shown` turns before it."""
        first = [{"role": "system", "content": system}] if system else []
        for user, answer in shown:
            first += [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
        turns = [[*first, {"role": "user", "content": user}] for user in users]
        try:
            texts = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template may refuse a system prompt, in its own words
            raise ValueError(f"the chat template refuses these messages: {error}.") from error
        return self.encode(texts)

    def answers(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of answers, each with its end."""
        return [[*ids, self.end] for ids in self.encode(texts)]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids; refuse texts of which more than `most_unknown` of the tokens are unknown."""
        encoded: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False).input_ids if texts else []
        unknown = self.tokenizer.unk_token_id
        if unknown is not None:
            total = sum(map(len, encoded))
            missed = sum(ids.count(unknown) for ids in encoded)
            if missed > total * self.most_unknown:
                worst = max(range(len(texts)), key=lambda i: encoded[i].count(unknown))
                raise ValueError(
                    f"{missed} of {total} tokens are unknown to this base, as in {texts[worst][:60]!r}: "
                    "use text that it was trained on, or another base."
                )
        return encoded

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens and all."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
