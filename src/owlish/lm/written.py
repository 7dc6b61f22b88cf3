"""Conversations as a chat template writes them: pieces of text, each trained on or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from owlish.graph.errors import UserError
from owlish.lm.model import Messages, message
from owlish.lm.template import DAYS

if TYPE_CHECKING:
    from owlish.lm.chat import Chat

MARK = "owlish"
SAID = "hoots"
THOUGHTS = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True)
class Piece:
    """A text that follows another, and whether it is trained on.

    Where it `ended`, the end of the turn follows, after the blank text `gap`.
    """

    before: str
    text: str
    own: bool
    ended: bool = True
    gap: str = ""


@dataclass(frozen=True)
class Frame:
    """What a template writes around an answer: `head` behind what it writes when it asks, and `tail` behind the answer.

    `blank` is the blank before an answer, which is one token with the word after it: so it is part of the answer.
    """

    head: str = ""
    blank: str = ""
    tail: str = ""


def frame(chat: Chat) -> Frame:
    """Read what stands around an answer off a whole conversation; refuse a template that asks in another context."""
    question = [message("user", MARK)]
    prompt = chat.render(question)
    # The last one is the answer: whatever else a template writes may hold the word as well.
    before, said, tail = chat.render([*question, message("assistant", SAID)], answer=False).rpartition(SAID)
    if not said and "end" in dict(chat.settings):
        return Frame(blank=blank(prompt))
    if not said:
        raise UserError(
            "the chat template does not write an answer as it stands, so the end of a turn cannot be read off it: "
            "name the token that ends an answer, as in --template end='</s>'."
        )
    if not before.startswith(prompt):
        raise UserError(
            f"the chat template writes {ending_of(prompt)!r} before an answer when it asks and {ending_of(before)!r} "
            "in a finished conversation, so training and asking would differ: set an argument that it reads, such as "
            "--template enable_thinking=false, or another template with chat_template."
        )
    return Frame(before[len(prompt) :], blank(before), tail)


def ending_of(text: str) -> str:
    """Return what stands behind the user's message."""
    return text.rpartition(MARK)[2][-60:]


def blank(text: str) -> str:
    """Return the blanks at the end of a text."""
    return text[len(text.rstrip(" ")) :]


def check_asked(chat: Chat) -> None:
    """Refuse a template that drops what the user says: every question would be the same."""
    # Some write it in other letters.
    if MARK not in chat.render([message("user", MARK)]).lower():
        raise UserError(
            "the chat template drops the user's message, so every question would be the same: set another template, "
            "as in --template chat_template=plain."
        )


def check_day(chat: Chat) -> None:
    """Refuse a template that writes today's date: two days would be one key."""
    for first in ([], [message("system", MARK)]):
        turns = [*first, message("user", MARK)]
        if len({chat.render(turns, day=day) for day in DAYS}) > 1:
            raise UserError(
                "the chat template writes today's date, so two days would share a key: "
                "fix the day, as in --template today=2024-07-26."
            )


def ending(chat: Chat) -> tuple[int, str]:
    """Return the token that ends an answer, and what blank text stands before it: named, or read off the template."""
    tail, named = chat.frame.tail, dict(chat.settings).get("end")
    found = chat.added.search(tail)
    if named is not None:
        end = chat.tokenizer.convert_tokens_to_ids(str(named))
        if end is None or end == chat.tokenizer.unk_token_id:
            raise UserError(f"an answer cannot end with {named!r}, which is no token of this base: name another end.")
        start, sign, _ = tail.partition(str(named))
        return int(end), start if sign and not start.strip() else ""
    if found and not tail[: found.start()].strip():
        return int(chat.tokenizer.convert_tokens_to_ids(found[0])), tail[: found.start()]
    if tail.strip():
        raise UserError(
            f"the chat template ends an answer with {tail!r}, which begins with no token of its own: "
            "name the token that ends an answer, as in --template end='</s>'."
        )
    if chat.tokenizer.eos_token_id is None:
        raise UserError(
            "the chat template writes no end of an answer, and the tokenizer has none: "
            "name one, as in --template end='</s>'."
        )
    return int(chat.tokenizer.eos_token_id), ""


def pieces(chat: Chat, turns: Messages, trained: Sequence[int], tools: str) -> list[Piece]:
    """Return the pieces of a conversation up to the end of the last turn that is trained on.

    `trained` are the places of the turns that are trained on. `UserError` says what of it the template does not write.
    """
    if turns[0]["role"] == "text":
        return [Piece("", chat.opening, own=False), Piece("", turns[0]["content"], own=True)]
    last = trained[-1]
    if last == len(turns) - 1 and len(trained) == 1 and not tools and all(map(plain, turns)):
        asked = chat.asked(turns[:last])
        return [
            Piece("", asked, own=False),
            Piece(asked, chat.frame.blank + turns[last]["content"], own=True, gap=chat.gap),
        ]
    known = json.loads(tools) if tools else None
    whole = chat.render(turns[: last + 1], tools=known, answer=False)
    check(chat, turns[: last + 1], trained, known or [], whole)
    found: list[Piece] = []
    place = 0
    for turn in trained:
        start = begun(chat, whole, turns[: last + 1], turn, known)
        if start is None or start < place:
            raise UserError("the chat template writes what came before an answer anew")
        upto = chat.render(turns[: turn + 1], tools=known, answer=False)
        end = after(chat, whole, start, upto, turns[turn]["content"])
        closed = chat.gap + chat.closed if whole.startswith(chat.gap + chat.closed, end) else ""
        found.append(Piece(whole[:place], whole[place:start], own=False))
        ended = bool(closed) or turn == last
        found.append(Piece(whole[:start], whole[start:end], own=True, ended=ended, gap=chat.gap if ended else ""))
        place = end + len(closed)
    return found


def begun(chat: Chat, whole: str, turns: Messages, turn: int, tools: Any) -> int | None:
    """Return where the answer at a place begins in a whole conversation.

    That is behind the prompt, and behind the head where it is there. Some templates write neither before answers that
    are not the last, as without an empty thought: there, it is where they write the answer.
    """
    prompt = chat.render(turns[:turn], tools=tools)
    starts = [prompt + chat.frame.head, prompt]
    if plain(turns[turn]) and turn < len(turns) - 1:
        marked = [*turns[:turn], {**turns[turn], "content": MARK + SAID}, *turns[turn + 1 :]]
        starts.append(chat.render(marked, tools=tools, answer=False).partition(MARK + SAID)[0])
    return next((len(s.removesuffix(chat.frame.blank)) for s in starts if whole.startswith(s)), None)


def plain(turn: Mapping[str, Any]) -> bool:
    """Say whether a turn is text and nothing more, of a kind that every template writes."""
    return turn.keys() == {"role", "content"} and turn["role"] in ("system", "user", "assistant")


def after(chat: Chat, whole: str, start: int, upto: str, said: str | None) -> int:
    """Return where the answer that begins at `start` ends; `upto` is the conversation up to that answer."""
    tail = chat.frame.tail
    if whole.startswith(upto) and upto.endswith(tail):
        return len(upto) - len(tail)
    # some templates write an answer otherwise once others follow, as without its reasoning
    end = whole.find(chat.closed, start) if tail and chat.closed not in (said or "") else -1
    if end < 0:
        raise UserError("the chat template ends an answer in another way")
    return end - len(chat.gap) if whole[start:end].endswith(chat.gap) else end


def check(chat: Chat, turns: Messages, trained: Sequence[int], tools: Sequence[Any], whole: str) -> None:
    """Refuse a conversation of which the template does not write something that it should."""
    for i, turn in enumerate(turns):
        said = turn["content"]
        if said and turn["role"] != "assistant" and said.strip() not in whole:
            raise UserError(f"the chat template does not write messages of the role {turn['role']}")
        for name in THOUGHTS:
            if turn.get(name) and i in trained and name not in chat.thoughts:
                raise UserError(f"the chat template does not write {name}")
        for name, called in calls(turn):
            if called not in whole:
                raise UserError(f"the chat template does not write {name}")
    for _, called in calls({"tool_calls": tools}):
        if called not in whole:
            raise UserError("the chat template does not write tools")


def calls(turn: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names of the functions that a turn calls, each with the field that holds it."""
    given = [
        ("function_call", turn.get("function_call")),
        *(("tool_calls", call) for call in turn.get("tool_calls") or ()),
    ]
    for field, call in given:
        if call:
            function = call.get("function", call) if isinstance(call, dict) else {}
            yield field, str(function.get("name", "")) if isinstance(function, dict) else ""


def ready(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a turn whose calls have their arguments as objects, as templates want them, and not as JSON text."""
    if not turn.get("tool_calls"):
        return dict(turn)
    return {**turn, "tool_calls": [parse_call(call) for call in turn["tool_calls"]]}


def parse_call(call: Any) -> Any:
    """Return a tool call with its arguments as an object, if they are the JSON of one."""
    try:
        function = call["function"]
        return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}
    # Rows of users: JSON that is nested deeply enough exhausts Python's stack.
    except (TypeError, KeyError, ValueError, RecursionError):
        return call


def fold(turns: Messages) -> Messages:
    """Return a conversation whose system prompt stands at the head of the first message of the user."""
    if not turns or turns[0]["role"] != "system":
        return turns
    system, rest = turns[0]["content"], list(turns[1:])
    place = next((i for i, turn in enumerate(rest) if turn["role"] == "user"), None)
    if place is None:
        return [message("user", system), *rest]
    return [*rest[:place], {**rest[place], "content": f"{system}\n\n{rest[place]['content']}"}, *rest[place + 1 :]]
