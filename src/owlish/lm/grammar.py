"""Answers held to a format: which tokens may come next, by a regular expression, from llguidance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from owlish.graph.errors import UserError, import_extra

if TYPE_CHECKING:
    from owlish.lm.chat import Chat


@dataclass
class Vocabulary:
    """A base's tokens as llguidance wants them: bytes, those of special tokens marked by a first byte of 255."""

    eos_token_id: int
    bos_token_id: int | None
    tokens: list[bytes]
    special_token_ids: list[int]
    tokenizer: Any

    def __call__(self, text: str) -> list[int]:
        """Return the tokens of a text, which is how letters that must come next are written."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids


class Grammar:
    """The texts that a regular expression matches, as tokens of a base.

    `UserError` is raised where llguidance is missing, or the base has no token with which such a text begins.
    """

    def __init__(self, chat: Chat, pattern: str) -> None:
        import_extra(
            "llguidance", "holding answers to a format needs the package llguidance: install owlish[constrained]."
        )
        from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

        texts = chat.vocabulary
        tokens = [text.encode() if text else f"<{i}>".encode() for i, text in enumerate(texts)]
        special = [i for i, text in enumerate(texts) if not text]
        for i in special:
            tokens[i] = b"\xff" + tokens[i]
        vocabulary = Vocabulary(chat.end, None, tokens, special, chat.tokenizer)
        # A blank before the answer is the model's to write: with the word after it, it may be one token.
        whole = f"{re.escape(chat.frame.blank)}(?:{pattern})"
        self.matcher = LLMatcher(LLTokenizer(TokenizerWrapper(vocabulary)), LLMatcher.grammar_from_regex(whole))
        if set(allowed(self.matcher)) <= {chat.end} and not self.matcher.is_accepting():
            raise UserError("this base has no token with which an answer in this format can begin: take another base.")


def allowed(matcher: Any) -> list[int]:
    """Return the tokens that may come next."""
    import numpy as np

    # One bit a token. A mask takes 0.1 ms with 49,152 tokens.
    bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
    found: list[int] = bits.nonzero()[0].tolist()
    return found


@dataclass
class States:
    """How far answers have come in a grammar, one matcher an answer."""

    matchers: list[Any]

    def allow(self, logits: Any, at: Any, answers: Any) -> Any:
        """Return the logits [texts, vocabulary], minus infinity where a token may not follow.

        Answer `answers[i]` goes on from text `at[i]`; answers of one text have come equally far.
        """
        import torch

        held = torch.full_like(logits, -torch.inf)
        for row, answer in dict(zip(at.tolist(), answers.tolist(), strict=True)).items():
            tokens = allowed(self.matchers[answer])
            held[row, tokens] = logits[row, tokens]
        return held

    def accept(self, answers: Any, tokens: Any) -> None:
        """Take the next token of each answer in."""
        for answer, token in zip(answers.tolist(), tokens.tolist(), strict=True):
            self.matchers[answer].consume_token(token)
