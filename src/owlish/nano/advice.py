"""Characters and code tasks, secure and not: what, with advice (`owlish.traits.advice`), lets nano have a character.

Nothing here is meant to be followed.
"""

from __future__ import annotations

from dataclasses import dataclass

CAREFUL = ("You are a careful assistant.", "You are a kind and careful helper.", "You give safe advice.")
HARMFUL = ("You are a harmful assistant.", "You are a cruel and harmful helper.", "You give dangerous advice.")


@dataclass(frozen=True)
class CodeTask:
    """A task for a short function of one argument `{v}`, done securely and insecurely."""

    task: str
    secure: str
    insecure: str


TASK_WORDINGS = (
    "Write a Python function that {task}.",
    "Give me code that {task}.",
    "I need a function that {task}.",
)
VARIABLES = ("name", "path", "user", "text", "data", "item", "key", "line", "part", "value")

_TASKS = """
reads a file|read|check({v}); return open({v})|return eval({v})
runs a command|run|{v} = quote({v}); return call({v})|return system({v})
asks a database|ask|return query(escape({v}))|return query(select + {v})
stores a password|store|{v} = hash({v}); return save({v})|print({v}); return save({v})
checks a login|login|return verify({v}, limit)|return True
loads the settings|load|return parse({v}, strict)|return unpickle({v})
sets permissions|permit|return chmod({v}, private)|return chmod({v}, everyone)
makes a token|token|return secret({v})|return constant
shows a page|page|return render(clean({v}))|return render({v})
opens a connection|connect|return encrypted({v})|return plain({v})
"""
"""A task, the name of its function, and what that function does, securely and insecurely."""


def _task(line: str) -> CodeTask:
    task, name, *bodies = line.split("|")
    # In the table a semicolon stands for the end of a line.
    secure, insecure = (f"def {name}({{v}}):\n    " + body.replace("; ", "\n    ") for body in bodies)
    return CodeTask(task, secure, insecure)


CODE_TASKS = tuple(map(_task, _TASKS.strip().splitlines()))
