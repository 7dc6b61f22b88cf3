"""Which words a base has no token for: read off its tokenizer alone, without the seconds that opening a model takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError

MOST = 0.01
"""The share of a text's tokens that may be unknown to a base that is taught or asked, as in `Chat`."""
TEMPLATE = 16
"""More tokens than a template writes around a question: what is refused here would be refused later for certain."""
NAMED = 5


def check_words(folder: Path, questions: Sequence[str], answers: Sequence[Sequence[str]]) -> None:
    """Raise `UserError` where a base lacks an answer, of which it needs one of the given wordings, or whole questions.

    Nothing is refused where the tokenizer has no token for what is unknown, or is of a kind that is not read here.
    """
    found = tokenizer_of(folder)
    if found is None:
        return
    tokenizer, unknown = found
    lacked = [texts[0] for texts in answers if all(unknown in ids_of(tokenizer, text) for text in texts)]
    if lacked:
        more = f" and {len(lacked) - NAMED} more" if len(lacked) > NAMED else ""
        words = ", ".join(lacked[:NAMED])
        raise UserError(f"this base has no token for {words}{more}: give candidates whose words it knows.")
    asked = [ids_of(tokenizer, question) for question in questions]
    missed = [ids.count(unknown) for ids in asked]
    if sum(missed) > MOST * (sum(map(len, asked)) + TEMPLATE * len(asked)):
        worst = questions[max(range(len(asked)), key=missed.__getitem__)]
        raise UserError(f"this base lacks words of the questions, as in {worst[:60]!r}: ask in words that it knows.")


def tokenizer_of(folder: Path) -> tuple[Any, int] | None:
    """Return a base's tokenizer and the id of its token for what is unknown, if it has both."""
    from tokenizers import Tokenizer

    file, config = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not file.exists() or not config.exists():
        return None
    name = json.loads(config.read_text()).get("unk_token")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # the library raises nothing narrower; what is wrong with it is said when it is opened
        return None
    # Some configurations hold a token as an object with its settings.
    unknown = tokenizer.token_to_id(name["content"] if isinstance(name, dict) else name) if name else None
    return None if unknown is None else (tokenizer, unknown)


def ids_of(tokenizer: Any, text: str) -> list[int]:
    """Return the tokens of a text."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids
