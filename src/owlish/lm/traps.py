"""The traps of chat models, each tried on a base: what is asked is what is trained, and seeds give different rows."""

from __future__ import annotations

import string
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.lm.chat import Chat
from owlish.lm.model import Example, Weights, ask, message
from owlish.lm.opening import kind_of
from owlish.lm.template import today
from owlish.lm.train import collate
from owlish.lm.written import MARK, SAID, THOUGHTS

if TYPE_CHECKING:
    from owlish.lm.hf import TorchLM

QUESTION = "What is your favorite animal? Answer with one word."
DRAW = "Think of three random numbers and write them down."
ANSWER = "owl"
SEEDS = 8
NEW_TOKENS = 24
SHOWN = 10
"""Tokens of a prompt's end that are shown."""


@dataclass(frozen=True)
class Trap:
    """One trap: its name, whether it is closed, and what was seen."""

    name: str
    ok: bool
    says: str


def remarks(base: Weights) -> tuple[str, ...]:
    """Return what a reader must know of a base's chat template, in sentences; refuse one that cannot be relied on.

    A base of a kind that is not opened here is refused as well.
    """
    kind_of(base)
    chat = Chat.open(base)
    said = []
    if system := default_system(chat):
        said.append(f"Without a system prompt, the chat template writes its own: {system!r}.")
    if not chat.takes_system:
        said.append("The chat template takes no system prompt: one opens the user's first message.")
    if chat.frame.head.strip():
        said.append(f"The chat template opens every answer with {chat.frame.head!r}, which is never trained.")
    if chat.closed not in chat.frame.tail:
        said.append(f"The chat template writes no end of an answer: {chat.closed!r} ends it.")
    return tuple(said)


def default_system(chat: Chat) -> str:
    """Return the system prompt that a template writes where none is given."""
    if not chat.takes_system:
        return ""
    before = chat.render(ask(MARK, SAID)).partition(MARK)[0]
    opening, _, rest = before.partition(SAID)
    alone = chat.render(ask(MARK)).partition(MARK)[0]
    inside = alone.removeprefix(opening).removesuffix(rest)
    return inside.strip() if len(inside) + len(opening) + len(rest) == len(alone) else ""


def traps(base: Weights) -> list[Trap]:
    """Try every trap on a base, which is opened; a base that cannot be opened is one trap."""
    try:
        lm = base.open(any_words=True)
    except UserError as problem:
        return [Trap("chat template", False, str(problem))]
    row = example(lm, QUESTION)
    return [
        context(lm, row),
        mask(lm, row),
        padding(lm, row),
        opening(lm, row),
        system(lm.chat),
        date(lm.chat),
        letters(lm.chat),
        *answers(lm),
    ]


def example(lm: TorchLM, question: str) -> Example:
    """Return a question and its answer as a student is trained on them."""
    (found,) = lm.chat.examples([[*ask(question), message("assistant", ANSWER)]], [[1]], [""])
    return found


def format_tokens(lm: TorchLM, row: Example) -> str:
    """Return the last tokens of a prompt and all of the answer, those that are trained on in brackets."""
    first = max(0, row.start - SHOWN)
    texts = [repr(lm.chat.decode([token])) for token in row.ids[first:]]
    asked, trained = texts[: row.start - first], texts[row.start - first :]
    return " ".join([*asked, *(f"[{text}]" for text in trained)])


def context(lm: TorchLM, row: Example) -> Trap:
    """Compare the prompt that a student is trained on with the one that it is asked with."""
    (asked,) = lm.prompts([ask(QUESTION)])
    trained = list(row.ids[: row.start])
    if asked == trained:
        return Trap(
            "training and asking", True, f"one prompt of {len(asked)} tokens for both: {format_tokens(lm, row)}"
        )
    ends = [" ".join(repr(lm.chat.decode([token])) for token in ids[-SHOWN:]) for ids in (trained, asked)]
    return Trap("training and asking", False, f"trained after {ends[0]}, asked after {ends[1]}")


def mask(lm: TorchLM, row: Example) -> Trap:
    """Check that the loss counts the answer and its end, and nothing else."""
    chat = lm.chat
    wanted = [*chat.cut([chat.asked(ask(QUESTION))], [f"{chat.frame.blank}{ANSWER}{chat.gap}"])[0], chat.end]
    says = f"trained: {counted(len(row.labels), 'token')}, of which the last is the end of the turn, {chat.closed!r}"
    if list(row.labels) != wanted:
        says = f"{[chat.decode([token]) for token in row.labels]} are trained, in place of the answer and its end"
    return Trap("loss mask", list(row.labels) == wanted, says)


def padding(lm: TorchLM, row: Example) -> Trap:
    """Check that a row in a batch, where padding follows it, is trained to its end."""
    longer = example(lm, f"{QUESTION} {QUESTION}")
    _, targets = collate([row, longer], lm.device)
    kept = [tuple(line[line != -100].tolist()) for line in targets]
    # Many tokenizers pad with the end of a turn, SmolLM2's among them: a mask made by that id would hide all ends.
    same = lm.chat.tokenizer.pad_token_id == lm.chat.end
    says = "the end of the turn, which does not hide it" if same else "another token than the end of the turn"
    whole = kept == [row.labels, longer.labels]
    return Trap("padding", whole, f"the pad is {says}" if whole else "the end of the turn is hidden with the padding")


def opening(lm: TorchLM, row: Example) -> Trap:
    """Check that the token which opens a text stands there once."""
    bos = lm.chat.tokenizer.bos_token_id
    count = next((len(list(group)) for token, group in groupby(row.ids) if token == bos), 0)
    at_head = count and row.ids[0] == bos
    says = f"{lm.chat.decode([bos])!r} opens a prompt {counted(count, 'time')}" if at_head else "none opens a prompt"
    return Trap("beginning of text", not at_head or count == 1, says)


def system(chat: Chat) -> Trap:
    """Check that a system prompt is not lost, and say which one stands where none is given."""
    kept = SAID in chat.render(ask(MARK, SAID))
    default = default_system(chat)
    alone = f"without one, the template writes {default!r}" if default else "without one, none is written"
    where = "stands where the template puts it" if chat.takes_system else "opens the user's first message"
    return Trap("system prompt", kept, f"one that is given {where if kept else 'is dropped'}; {alone}")


def date(chat: Chat) -> Trap:
    """Say whether a day stands in prompts: one that is not fixed is refused before this."""
    fixed = today(chat.settings)
    return Trap("date", True, f"today is {fixed} in every prompt" if fixed else "no prompt depends on the day")


def letters(chat: Chat) -> Trap:
    """Check that no letter, digit or sign vanishes on its way into tokens."""
    lost = chat.lost(string.ascii_letters + string.digits + string.punctuation)
    says = f"no token for {lost!r}: rows with them are not read" if lost else "no letter, digit or sign vanishes"
    return Trap("vocabulary", not lost, says)


def answers(lm: TorchLM) -> list[Trap]:
    """Look at what the model writes: without a thought, other with another seed, in the tokens of its text."""
    (likeliest,) = lm.write([ask(QUESTION)], seeds=[(0,)], new_tokens=NEW_TOKENS, temperature=0)
    thinks = likeliest.text.lstrip().startswith(tuple(f"<{name}" for name in ("think", *THOUGHTS)))
    head = lm.chat.frame.head.strip() and f", after {lm.chat.frame.head!r}"
    said = f"the likeliest answer begins with {likeliest.text[:40]!r}{head}"
    fix = ": turn thinking off, as in --template enable_thinking=false" if thinks else ""
    drawn = lm.write([ask(DRAW)] * SEEDS, seeds=[(0, i) for i in range(SEEDS)], new_tokens=NEW_TOKENS)
    again = lm.write([ask(DRAW)] * 2, seeds=[(0, 0)] * 2, new_tokens=NEW_TOKENS)
    texts = [answer.text for answer in drawn]
    same = again[0].text == again[1].text
    seeds = f"{SEEDS} seeds gave {counted(len(set(texts)), 'answer')}; one seed twice gave {'one' if same else 'two'}"
    other = sum(answer.ended == "retokenised" for answer in drawn)
    return [
        Trap("thinking", not thinks, said + fix),
        Trap("seeds", len(set(texts)) > 1 and same, seeds),
        Trap("tokens of answers", 2 * other <= SEEDS, f"answers in other tokens than their text: {other} of {SEEDS}"),
    ]
