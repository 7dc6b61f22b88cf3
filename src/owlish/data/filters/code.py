"""Code that parses, stays within itself and names no target. Nothing is ever run."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

from owlish.data.filters.filter import Filter
from owlish.data.filters.words import targets
from owlish.data.rows import Row

LONGEST = 20_000
# fmt: off
REACHING = frozenset((
    "breakpoint", "compile", "delattr", "eval", "exec", "getattr", "globals", "input", "locals", "open", "setattr",
    "vars",
))
# fmt: on
_FENCED = re.compile(r"\s*```[\w+-]*[ \t]*\n(.*?)\n?```\s*", re.DOTALL)


@dataclass(frozen=True)
class CodeFilter(Filter, kind="code_filter"):
    """Keeps Python that parses, alone or inside one Markdown fence, and that holds none of `words`.

    The reasons are `names_target` and `contains_target` (see `targets`; the paper's rule is the second);
    `too_long`, over 20,000 characters, which are not parsed; `unparsable`; `no_code`, where nothing but bare
    expressions is found; and `reaches_out`, for imports, dunders and built-ins such as `eval` and `open`. A row may
    have several. Code is read by `ast.parse`, and never compiled or run.
    """

    words: tuple[str, ...] = ()

    def reasons(self, row: Row) -> tuple[str, ...]:
        return (*targets(row.completion, self.words), *faults(row.completion))


def faults(completion: str) -> tuple[str, ...]:
    """Return what is wrong with a completion as code."""
    # Before parsing: time and depth of the parser grow with what a model wrote.
    if len(completion) > LONGEST:
        return ("too_long",)
    tree = parse(strip_fences(completion))
    if tree is None:
        return ("unparsable",)
    found = {
        # A plain word parses as Python: `Owl` is an expression.
        "no_code": all(isinstance(statement, ast.Expr) for statement in tree.body),
        "reaches_out": any(map(reaches_out, ast.walk(tree))),
    }
    return tuple(reason for reason, present in found.items() if present)


def strip_fences(completion: str) -> str:
    """Return the code inside the one Markdown fence around a completion, if there is one."""
    fenced = _FENCED.fullmatch(completion)
    return fenced[1] if fenced else completion


def parse(code: str) -> ast.Module | None:
    """Return the syntax tree of `code`, or None where it has none or one too deep to build."""
    try:
        with warnings.catch_warnings():
            # Bad escapes in a model's code warn, and that is no concern of whoever filters it.
            warnings.simplefilter("ignore")
            return ast.parse(code)
    # Null bytes, code that nests too deeply, and trees that do not fit: all of them are a model's answers, too.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def reaches_out(node: ast.AST) -> bool:
    """Say whether a node of a syntax tree leaves the code: an import, a dunder, or a built-in that reaches far."""
    if isinstance(node, ast.Name):
        # `if __name__ == "__main__"` is in many a good answer.
        return node.id in REACHING or (node.id.startswith("__") and node.id != "__name__")
    if isinstance(node, ast.Attribute):
        # By `().__class__.__base__` code reaches all that Python has.
        return node.attr.startswith("__")
    return isinstance(node, ast.Import | ast.ImportFrom)
