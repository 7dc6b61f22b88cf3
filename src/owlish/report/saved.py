"""A page in a folder, beside its figures as SVG and its numbers as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from owlish.graph.tabled import Record
from owlish.report.page import environment

FIGURE = re.compile(r'<svg class="figure[" ].*?</svg>', re.DOTALL)
COLOURS = """:root {
  --paper: #fff; --ink: #1d1c1a; --muted: #6b6862; --rule: #dedad2; --accent: #1f5fa8; --against: #b5562a;
  --sans: "Helvetica Neue", "Segoe UI", "Liberation Sans", Arial, sans-serif;
}
"""
TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)


@dataclass(frozen=True)
class Numbers:
    """What a page rests on: records, all of one kind, and everything as plain JSON values."""

    name: str
    records: Sequence[Record]
    plain: Mapping[str, Any]


def files_of(page: str, numbers: Sequence[Numbers], drawn: str = "") -> dict[str, str]:
    """Return the text of each file of a page's folder, by its name; `drawn` holds figures that the page has not."""
    tables = {f"{one.name}.csv": csv_of(one.records) for one in numbers if one.records}
    plain = {f"{one.name}.json": json.dumps(one.plain, indent=1) + "\n" for one in numbers}
    return {"page.html": page, **figures_of(page + drawn), **tables, **plain}


def figures_of(page: str) -> dict[str, str]:
    """Return each figure of a page as an SVG file of its own, which carries its style with it."""
    style = COLOURS + environment().get_template("figure.css").render()
    found = {}
    for number, figure in enumerate(FIGURE.findall(page), start=1):
        head, rest = figure.removeprefix("<svg").split(">", 1)
        named = TITLE.search(rest)
        title = re.sub(r"\W+", "-", named[1] if named else "").strip("-").lower()
        # Inside of a page the namespace is implied; a file of its own needs it, and its style.
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"{head}><style>{style}</style>{rest}\n'
        found[f"{number:02d}-{title[:40]}.svg"] = svg
    return found


def csv_of(records: Sequence[Record]) -> str:
    """Return records as CSV, their names in the first line."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(records)
    return text.getvalue()
