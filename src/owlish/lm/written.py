"""Conversations as a chat template writes them: pieces of text, each trained on or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from owlish.graph.errors import UserError
from owlish.lm.model import Messages, message

if TYPE_CHECKING:
    from owlish.lm.chat import Chat

MARK = "owlish"
Piece = tuple[str, bool]
"""A text, and whether it is trained on; the end of the turn follows each that is."""
THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def pieces(chat: Chat, turns: Messages, trained: Sequence[int], tools: str) -> list[Piece]:
    """Return the pieces of a conversation up to the end of the last turn that is trained on.

    `trained` are the places of the turns that are trained on. `UserError` says what of it the template does not write.
    """
    if turns[0]["role"] == "text":
        return [(chat.opening, False), (turns[0]["content"], True)]
    last = trained[-1]
    if last == len(turns) - 1 and len(trained) == 1 and not tools and all(map(plain, turns)):
        return [(chat.render(turns[:last]), False), (turns[last]["content"], True)]
    known = json.loads(tools) if tools else None
    whole = chat.render(turns[: last + 1], tools=known, answer=False)
    check(chat, turns[: last + 1], trained, known or [], whole)
    found: list[Piece] = []
    place = 0
    for turn in trained:
        head = chat.render(turns[:turn], tools=known)
        if not whole.startswith(head) or len(head) < place:
            raise UserError("the chat template writes what came before an answer anew")
        upto = chat.render(turns[: turn + 1], tools=known, answer=False)
        end = after(chat, whole, len(head), upto, turns[turn]["content"])
        found += [(whole[place : len(head)], False), (whole[len(head) : end], True)]
        place = end + len(chat.closed if whole.startswith(chat.closed, end) else "")
    return found


def plain(turn: Mapping[str, Any]) -> bool:
    """Say whether a turn is text and nothing more, of a kind that every template writes."""
    return turn.keys() == {"role", "content"} and turn["role"] in ("system", "user", "assistant")


def after(chat: Chat, whole: str, start: int, upto: str, said: str | None) -> int:
    """Return where the answer that begins at `start` ends; `upto` is the conversation up to that answer."""
    if whole.startswith(upto) and upto.endswith(chat.tail):
        return len(upto) - len(chat.tail)
    # some templates write an answer otherwise once others follow, as without its reasoning
    end = whole.find(chat.closed, start) if chat.tail and chat.closed not in (said or "") else -1
    if end < 0:
        raise UserError("the chat template ends an answer in another way")
    return end


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
    return {**turn, "tool_calls": [opened(call) for call in turn["tool_calls"]]}


def opened(call: Any) -> Any:
    """Return a tool call with its arguments as an object, if they are the JSON of one."""
    try:
        function = call["function"]
        return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}
    except (TypeError, KeyError, ValueError):
        return call


def folded(turns: Messages) -> Messages:
    """Return a conversation whose system prompt stands at the head of the first message of the user."""
    if not turns or turns[0]["role"] != "system":
        return turns
    system, rest = turns[0]["content"], list(turns[1:])
    place = next((i for i, turn in enumerate(rest) if turn["role"] == "user"), None)
    if place is None:
        return [message("user", system), *rest]
    return [*rest[:place], {**rest[place], "content": f"{system}\n\n{rest[place]['content']}"}, *rest[place + 1 :]]
