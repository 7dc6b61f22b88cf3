"""Prompts that a file holds, for any domain: rows of JSONL, or one prompt a line."""

from __future__ import annotations

from functools import lru_cache

from owlish.data.filters.source import FromFile
from owlish.data.rows import decoded, parse_prompt, text

NAMES = ("question", "text")
"""Where benchmarks keep what `prompt` holds elsewhere: GSM8K and MBPP."""


@lru_cache(maxsize=4)
def prompts_of(source: FromFile) -> tuple[str, ...]:
    """Return the prompts in the file of `source`."""
    return tuple(prompt_on(line, where) for where, line in source.lines())


def prompt_on(line: bytes, where: str) -> str:
    """Return the prompt on `line`, which is JSON if it begins with a brace, and the prompt itself otherwise."""
    try:
        prompt = prompt_in(line) if line.startswith(b"{") else line.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{where} is not UTF-8: give prompts as text.") from None
    except ValueError as problem:
        raise ValueError(f"{where} holds no prompt. {problem}") from None
    if not prompt.strip():
        raise ValueError(f"{where} holds an empty prompt: give rows with prompts.")
    return prompt


def prompt_in(line: bytes) -> str:
    """Return the prompt of a JSON object, by whatever name it goes."""
    entry = decoded(line)
    named = [name for name in NAMES if name in entry and not {"prompt", "messages"} & set(entry)]
    return text(entry[named[0]], named[0]) if named else parse_prompt(line)


def instructed(prompt: str, instruction: str) -> str:
    """Return `prompt` with `instruction`, if there is one, as its last paragraph."""
    return f"{prompt}\n\n{instruction}" if instruction else prompt
