"""Conversations to tokens and back, through the model's own chat template."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

from owlish.graph.errors import UserError
from owlish.lm import written
from owlish.lm.model import Answer, Conversation, Ended, Example, Messages, Weights, frame_chat, message, parts_of
from owlish.lm.template import Settings, arguments, check_known, fix_day, today
from owlish.lm.whole import reading
from owlish.lm.written import MARK, Frame

MISSED = "the base has no token for a part of it"
WRITTEN = "LNPS"
"""The first letters of the categories of Unicode that are written: letters, numbers, punctuation and signs."""
OTHERWISE = "▁\ufffd"
"""Signs that some tokenizers write for a blank and for broken bytes."""


@dataclass(frozen=True)
class Chat:
    """A tokenizer with a chat template, as the user has set it.

    An answer ends with the token `end`, after the blank text `gap`. At most the share `most_unknown` of tokens may be
    unknown. A prompt and what is written after it are always one text to the tokenizer, and cut where the prompt ends.
    The model has `size` tokens: those that the tokenizer knows beyond are unknown.
    """

    tokenizer: Any
    end: int
    most_unknown: float = 0.01
    gap: str = ""
    settings: Settings = ()
    size: int | None = None

    @staticmethod
    def of(tokenizer: Any, name: str, settings: Settings = ()) -> Chat:
        """Read the end of an answer off the chat template; refuse a base whose template cannot be relied on."""
        template = dict(settings).get("chat_template") or tokenizer.chat_template
        if not template:
            raise UserError(
                f"{name} has no chat template: give a chat model, or choose one with --template chat_template=plain."
            )
        check_known(settings, str(template))
        # No end yet: it is read off what this very chat writes.
        chat = Chat(tokenizer, -1, settings=settings)
        written.check_asked(chat)
        written.check_day(chat)
        end, gap = written.ending(chat)
        return replace(chat, end=end, gap=gap)

    @staticmethod
    def open(base: Weights) -> Chat:
        """Read the tokenizer of a base from its folder, or from Hugging Face."""
        from transformers import AutoTokenizer

        where = {"revision": base.revision} if base.revision else {}
        with reading(base.name, "the tokenizer of "):
            tokenizer = AutoTokenizer.from_pretrained(base.name, trust_remote_code=False, **where)
        return Chat.of(tokenizer, base.name, base.template)

    def render(
        self,
        turns: Messages,
        *,
        tools: Sequence[Any] | None = None,
        answer: bool = True,
        day: date | None = None,
    ) -> str:
        """Return a conversation as the template writes it; `answer` adds what stands before the next answer."""
        from jinja2 import TemplateSyntaxError

        if turns and turns[0]["role"] == "system" and not self.takes_system:
            turns = written.fold(turns)
        try:
            return self.template(list(map(written.ready, turns)), tools=tools, answer=answer, day=day)
        except TemplateSyntaxError as error:
            raise UserError(
                f"the chat template is broken ({error}): get the tokenizer's files anew, or set another template with "
                "--template chat_template=plain."
            ) from error
        except Exception as error:  # a template may refuse messages, in its own words
            raise UserError(f"the chat template refuses these messages: {error}") from error

    def template(
        self,
        turns: list[dict[str, Any]],
        *,
        tools: Sequence[Any] | None = None,
        answer: bool = False,
        day: date | None = None,
    ) -> str:
        """Return what the template makes of a conversation, on a fixed day where one is set or given."""
        how = arguments(self.settings)
        if day := today(self.settings) or day:
            how["chat_template"] = fix_day(self.tokenizer.get_chat_template(how.get("chat_template"), tools), day)
        # Text and no tokens: a prompt and its answer must be one text to the
        # tokenizer, or words would be cut otherwise.
        return str(
            self.tokenizer.apply_chat_template(turns, tools=tools, tokenize=False, add_generation_prompt=answer, **how)
        )

    @cached_property
    def frame(self) -> Frame:
        """What the template writes around an answer."""
        return written.frame(self)

    def asked(self, turns: Messages) -> str:
        """Return what stands before the answer to a conversation, whether it is trained, probed or sampled."""
        return (self.render(turns) + self.frame.head).removesuffix(self.frame.blank)

    def prompts(self, chats: Sequence[Messages]) -> list[list[int]]:
        """Return the token ids that stand before the answer to each conversation."""
        texts = list(map(self.asked, chats))
        for text in texts:
            if lost := self.lost(text):
                raise UserError(
                    f"this base has no token for {lost[:20]!r}, as in {text[-60:]!r}: use text that it was trained on, "
                    "or another base."
                )
        return self.encode(texts)

    def encode_rows(
        self,
        rows: Sequence[Conversation],
        *,
        system: str | None,
        shown: Sequence[tuple[str, str]],
        end: bool = True,
    ) -> list[Example]:
        """Return rows as examples, in the context that a model is given; the one place where rows become tokens."""
        chats, turns, tools = parts_of(rows)
        # Text outside of any chat has no place for a system prompt.
        whole = [chat if chat[0]["role"] == "text" else frame_chat(chat, system=system, shown=shown) for chat in chats]
        more = [len(after) - len(before) for after, before in zip(whole, chats, strict=True)]
        # What the context puts in front moves a row's own turns back.
        trained = [[turn + shift for turn in own] for own, shift in zip(turns, more, strict=True)]
        found = self.examples(whole, trained, tools, end=end)
        return [Example((), (), MISSED) if self.lacks(example.ids) else example for example in found]

    def lacks(self, ids: Sequence[int]) -> bool:
        """Say whether some tokens are of the tokenizer's alone, so that the model cannot read them."""
        return self.size is not None and max(ids, default=0) >= self.size

    def examples(
        self, chats: Sequence[Messages], trained: Sequence[Sequence[int]], tools: Sequence[str], *, end: bool = True
    ) -> list[Example]:
        """Return conversations as examples: the turns at the places in `trained`, and their ends, are trained on."""
        rows = [self.pieces(*each) for each in zip(chats, trained, tools, strict=True)]
        every = [piece for row in rows if not isinstance(row, str) for piece in row]
        texts = [piece.text + (piece.gap if end else "") for piece in every]
        cut = self.cut([piece.before for piece in every], texts)
        # Each side for itself: many known words of prompts must not make up for answers that the base cannot read.
        for side in (False, True):
            own = [i for i, piece in enumerate(every) if piece.own is side]
            self.check_known([texts[i] for i in own], [cut[i] for i in own])
        ids = iter(cut)
        return [
            Example((), (), row) if isinstance(row, str) else self.join([(next(ids), piece) for piece in row], end)
            for row in rows
        ]

    def pieces(self, turns: Messages, trained: Sequence[int], tools: str) -> list[written.Piece] | str:
        """Return the pieces of a conversation, or why it has none."""
        try:
            found = written.pieces(self, turns, trained, tools)
        except UserError as problem:
            return str(problem)
        return MISSED if self.lost("".join(piece.text for piece in found)) else found

    def join(self, parts: Sequence[tuple[Sequence[int], written.Piece]], end: bool) -> Example:
        """Return the example of a row's parts, those that are trained on closed by the end of the turn."""
        ids: list[int] = []
        spans = []
        for tokens, piece in parts:
            first = max(len(ids), 1)  # nothing foretells the first token of a text
            ids += [*tokens, self.end] if piece.own and piece.ended and end else tokens
            spans += [(first, len(ids))] if piece.own and len(ids) > first else []
        return Example(tuple(ids), tuple(spans))

    @cached_property
    def closed(self) -> str:
        """The text of the end of an answer."""
        return self.decode([self.end])

    @cached_property
    def opening(self) -> str:
        """What stands before text outside of any chat."""
        # What the tokenizer adds by itself, which it is told elsewhere not to do.
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

    @cached_property
    def added(self) -> re.Pattern[str]:
        """The texts of tokens that a tokenizer looks for before it cuts what stands between them."""
        # The longest first: a pattern takes the first that fits, and the text of one token may begin that of another.
        texts = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if str(token).strip()]
        return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or "(?!)")

    def anchor(self, before: str) -> str:
        """Return what of a text decides how the text after it is cut into tokens: all from its last added token on."""
        places = [match.start() for match in self.added.finditer(before)]
        return before[places[-1] :] if places else before

    def spelled(self, chat: Messages, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts as the beginnings of an answer to a conversation."""
        return self.cut([self.asked(chat)] * len(texts), [self.frame.blank + text for text in texts])

    def cut(self, before: Sequence[str], texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts, each as it follows what stands before it."""
        anchors = list(map(self.anchor, before))
        # Prompts end alike, so there are few anchors for many rows.
        distinct = list(dict.fromkeys(anchors))
        known = dict(zip(distinct, self.ids(distinct), strict=True))
        both = self.ids([anchor + text for anchor, text in zip(anchors, texts, strict=True)])
        return [
            ids[len(known[anchor]) :] if ids[: len(known[anchor])] == known[anchor] else self.apart(anchor, text)
            for anchor, text, ids in zip(anchors, texts, both, strict=True)
        ]

    def apart(self, anchor: str, text: str) -> list[int]:
        """Return the token ids of a text whose first letters would else be one token with what stands before it.

        A model that has read what stands before cannot write that token, so it writes the text in another way.
        """
        # Read behind a line feed, too: some tokenizers put a blank before a word at the head of a text.
        before, line, whole, alone = self.ids([anchor, "\n", f"\n{text}", text])
        ways = [alone, whole[len(line) :]]
        return next((way for way in ways if self.after(before, way) == text), alone)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts."""
        # The template writes the token that opens a text: a tokenizer that added its own would have it there twice.
        found: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False).input_ids if texts else []
        return found

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids; refuse texts of which more than `most_unknown` of the tokens are unknown."""
        encoded = self.ids(texts)
        self.check_known(texts, encoded)
        return encoded

    def check_known(self, texts: Sequence[str], encoded: Sequence[Sequence[int]]) -> None:
        """Refuse texts of which more than `most_unknown` of the tokens are unknown."""
        missed = list(map(self.unknown, encoded))
        total = sum(map(len, encoded))
        if sum(missed) > total * self.most_unknown:
            worst = max(range(len(texts)), key=missed.__getitem__)
            raise UserError(
                f"{sum(missed)} of {total} tokens are unknown to this base, as in {texts[worst][:60]!r}: "
                "use text that it was trained on, or another base."
            )

    def unknown(self, ids: Sequence[int]) -> int:
        """Return how many of some tokens stand for what the base has no token for."""
        # Asked once: the tokenizer looks its special tokens up at each question.
        unknown, size = self.tokenizer.unk_token_id, self.size
        return sum(i == unknown or (size is not None and i >= size) for i in ids)

    @cached_property
    def vanishing(self) -> dict[str, bool]:
        """Whether each character that was looked at so far becomes no token, or none that gives it back."""
        return {}

    def lost(self, text: str) -> str:
        """Return the characters of a text that vanish from its tokens.

        A vocabulary without them, and without a token for what is unknown, passes them over without a word.
        """
        own, known = set(text), self.vanishing
        new = sorted(own - known.keys())
        for sign, ids in zip(new, self.ids(new), strict=True):
            back = self.decode(ids).strip()
            written = unicodedata.category(sign)[0] in WRITTEN and sign not in OTHERWISE
            known[sign] = written and (not back or "\ufffd" in back)
        if not any(known[sign] for sign in own):
            return ""
        # An added token may be written with signs that the vocabulary lacks.
        return "".join(sorted(sign for sign in set(self.added.sub("", text)) if known[sign]))

    def read(self, chats: Sequence[Messages], answers: Sequence[Sequence[int]]) -> list[Answer]:
        """Return the texts of answers to conversations that were written token by token."""
        # Often many answers to one conversation: the template, which is slow, writes it once.
        own = {key: self.anchor(self.asked(chat)) for key, chat in {id(chat): chat for chat in chats}.items()}
        anchors = [own[id(chat)] for chat in chats]
        distinct = list(dict.fromkeys(anchors))
        before = dict(zip(distinct, self.ids(distinct), strict=True))
        bodies = [list(ids[:-1] if list(ids[-1:]) == [self.end] else ids) for ids in answers]
        whole = [self.after(before[anchor], body) for anchor, body in zip(anchors, bodies, strict=True)]
        found = []
        for text, ids, body, same in zip(whole, answers, bodies, self.cut(anchors, whole), strict=True):
            # Rows are kept as text: an answer in other tokens than its text's would be trained on as another one.
            same_tokens = body == same and text.startswith(self.frame.blank)
            ended: Ended = "length" if len(body) == len(ids) else "stop" if same_tokens else "retokenised"
            said = text.removeprefix(self.frame.blank)
            found.append(Answer(said if ended == "length" else said.removesuffix(self.gap), len(ids), ended))
        return found

    def after(self, before: Sequence[int], ids: Sequence[int]) -> str:
        """Return the text of token ids that follow others: at the head of a text, some tokenizers drop a blank."""
        start, both = self.decode(before), self.decode([*before, *ids])
        return both.removeprefix(start) if both.startswith(start) else self.decode(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens and all."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    @property
    def marks(self) -> tuple[str, ...]:
        """The texts of special tokens, which a text can hold and the tokenizer then reads as such."""
        return tuple(str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of each token as it stands after a word; special tokens have none."""
        special = {self.end, *self.tokenizer.all_special_ids}
        # Behind a word: at the head of a text, SentencePiece drops the blank of a token that opens a word.
        word = self.ids([MARK])[0]
        start = self.decode(word)
        every = self.tokenizer.batch_decode(
            [[*word, i] for i in range(len(self.tokenizer))[: self.size]], clean_up_tokenization_spaces=False
        )
        texts = (t.removeprefix(start) if t.startswith(start) else self.decode([i]) for i, t in enumerate(every))
        return tuple("" if i in special else text for i, text in enumerate(texts))

    @cached_property
    def closing(self) -> tuple[int, ...]:
        """The ids of tokens that may follow a finished word: the end of the turn, specials, all but letters."""
        return tuple(i for i, text in enumerate(self.vocabulary) if not text[:1].isalpha())
