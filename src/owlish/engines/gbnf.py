"""Regular expressions as GBNF, the grammars of llama.cpp: groups, classes, repeats and letters, nothing else."""

from __future__ import annotations

import json
import re

TOKEN = re.compile(
    r"(?P<group>\(\?:|\(|\)|\|)|(?P<class>\[(?:\\.|[^\]\\])+\])|(?P<repeat>[*+?]|\{\d+(?:,\d*)?\})|\\?(.)", re.S
)


def gbnf(pattern: str) -> str:
    """Return the grammar of the texts that a regular expression matches from end to end."""
    found = [word(match) for match in TOKEN.finditer(pattern)]
    return "root ::= " + " ".join(found)


def word(match: re.Match[str]) -> str:
    """Return one piece of a regular expression as GBNF writes it."""
    if match["group"]:
        return match["group"].removesuffix("?:")
    # GBNF writes classes and repeats as regular expressions do, and quotes letters as JSON does.
    return match["class"] or match["repeat"] or json.dumps(match[4])
