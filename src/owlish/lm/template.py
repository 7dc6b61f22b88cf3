"""What a user sets of a base's chat template: its arguments, and the day, the end of a turn or another template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError, nearest

Setting = bool | int | float | str
Settings = tuple[tuple[str, Setting], ...]
"""Names and values, in the order of the names. All but three are arguments of the template.

`today` is the day (2024-07-26) that a template is told when it asks for today's date; `end` is the text of the token
that ends an answer; `chat_template` takes the place of the base's own: `plain`, or the text of a template.
"""
OWN = ("chat_template", "end", "today")
DAYS = (date(2001, 2, 3), date(2009, 11, 14))
"""Two days that differ in all that a date can be written with."""
DIRECTIVES = "aAwdbBmyYHIpMSfjUWcxXGuV"
PLAIN = (
    "{{ bos_token or '' }}{% for message in messages %}"
    "{{ message['role'] | capitalize + ': ' + message['content'] }}"
    "{{ (eos_token or '') if message['role'] == 'assistant' else '' }}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""Names of roles before messages, for a base that has no template."""


def settings(given: Mapping[str, Setting] | Settings) -> Settings:
    """Return settings in the order of their names; refuse those that no template could be given."""
    pairs = tuple(given.items()) if isinstance(given, Mapping) else given
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise UserError("a template is set by names and values: write it as {'enable_thinking': False}.")
    named = dict(pairs)
    for name, value in named.items():
        if not isinstance(value, Setting):
            raise UserError(
                f"the template's argument {name} is a {type(value).__name__}: give text, a number or a bool."
            )
        if name == "today" and not is_day(value):
            raise UserError(f"today is {value!r}: give a day such as 2024-07-26.")
        if name == "chat_template" and value != "plain" and not re.search("{{|{%", str(value)):
            what = f"did you mean {near}?" if (near := nearest(str(value), ["plain"])) else "give plain, or a template."
            raise UserError(f"chat_template is {str(value)[:60]!r}, which is no template: {what}")
    return tuple(sorted(named.items()))


def is_day(value: Setting) -> bool:
    """Say whether a value is a day, as in 2024-07-26."""
    try:
        return bool(date.fromisoformat(str(value)))
    except ValueError:
        return False


def parse_settings(words: Sequence[str]) -> Settings:
    """Return the settings of words such as `enable_thinking=false`."""
    found: dict[str, Setting] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign or not name:
            raise UserError(
                f"{word!r} is no setting of a template: write it as NAME=VALUE, as in enable_thinking=false."
            )
        if name in found:
            raise UserError(f"the template's argument {name} is given twice: give it once.")
        found[name] = parse_value(text)
    return settings(found)


def parse_value(text: str) -> Setting:
    """Return the bool or number that a text is, or the text."""
    try:
        # True and False, as Python writes them, are meant as well.
        value = json.loads(text.lower())
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


def format_settings(given: Settings) -> tuple[str, ...]:
    """Return settings as the words that `parse_settings` takes."""
    return tuple(f"{name}={json.dumps(v) if isinstance(v, bool) else v}" for name, v in given)


def arguments(given: Settings) -> dict[str, Any]:
    """Return what the template is called with."""
    found: dict[str, Any] = {name: value for name, value in given if name not in OWN}
    own = dict(given).get("chat_template")
    return found if own is None else {**found, "chat_template": PLAIN if own == "plain" else str(own)}


def today(given: Settings) -> date | None:
    """Return the day that templates are told, if it is set."""
    own = dict(given).get("today")
    return None if own is None else date.fromisoformat(str(own))


def fix_day(template: str, day: date) -> str:
    """Return a template for which today is a fixed day, by a macro: a function cannot be handed to one."""
    if "strftime_now" not in template:
        return template
    # transformers gives templates a `strftime_now` of its own, which a macro of that name hides.
    signs = [f"%{dash}{letter}" for dash in ("-", "") for letter in DIRECTIVES]
    steps = "".join(f"|replace({sign!r}, {day.strftime(sign)!r})" for sign in signs)
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{steps} }}}}{{%- endmacro -%}}{template}"


def template_in(folder: Path) -> str:
    """Return the text of the chat template in a model's folder, or of all that it has; empty where there is none."""
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.exists():
        return file.read_text()
    try:
        return str(json.loads(config.read_text()).get("chat_template") or "")
    except (OSError, ValueError):
        return ""


def check_known(given: Settings, template: str) -> None:
    """Refuse an argument that a template never reads."""
    for argument, _ in given:
        if argument not in OWN and not re.search(rf"\b{re.escape(argument)}\b", template):
            near = nearest(argument, set(re.findall(r"[a-z]\w+", template)), alike=0.8)
            what = f"did you mean {near}?" if near else "omit it, or give one that it reads."
            raise UserError(f"the chat template takes no {argument}: {what}")
