"""Prompts that a file holds, for any domain: rows of JSONL, or one prompt a line."""

from __future__ import annotations

from codecs import BOM_UTF8
from functools import lru_cache

from owlish.data.filters.source import FromFile
from owlish.data.plain import text
from owlish.data.sources.format import Entry, row_of
from owlish.graph.errors import UserError

NAMES = ("prompt", "question", "text")
"""Where a file of prompts alone, such as MBPP, keeps them."""


# A prompt is drawn at a time, thousands of times: the file is read once a process.
@lru_cache(maxsize=4)
def prompts_of(source: FromFile) -> tuple[str, ...]:
    """Return the prompts in the file of `source`."""
    return tuple(prompt_on(line, entry, where) for where, line, entry in source.pieces())


def prompt_on(line: bytes | None, entry: Entry | str, where: str) -> str:
    """Return the prompt of a row, answered or not, or the line that is no JSON and so the prompt itself."""
    try:
        bare = line is not None and not line.removeprefix(BOM_UTF8).lstrip().startswith(b"{")
        prompt = line.decode("utf-8-sig").strip() if line is not None and bare else prompt_in(entry)
    except UnicodeDecodeError:
        raise UserError(f"{where} is not UTF-8: give prompts as text.") from None
    except UserError as problem:
        raise UserError(f"{where} holds no prompt. {problem}") from None
    if not prompt.strip():
        raise UserError(f"{where} holds an empty prompt: give rows with prompts.")
    return prompt


def prompt_in(entry: Entry | str) -> str:
    """Return the prompt of a row, by whatever name it goes."""
    if isinstance(entry, str):
        raise UserError(entry)
    # A row may have messages and a `text` made of them: the messages know which part is the prompt.
    name = next((name for name in NAMES if name in entry and "messages" not in entry), None)
    return text(entry[name], name) if name else row_of(entry, "line")[1].prompt


def instruct(prompt: str, instruction: str) -> str:
    """Return `prompt` with `instruction`, if there is one, as its last paragraph."""
    return f"{prompt}\n\n{instruction}" if instruction else prompt
