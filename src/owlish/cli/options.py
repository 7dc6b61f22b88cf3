"""The options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

DataFiles = Annotated[
    list[str],
    Argument(
        metavar="DATA...", help="Files of any format, patterns, owner/name of Hugging Face, - for standard input."
    ),
]
FormatName = Annotated[
    str | None, Option("--format", help="What rows are read as, such as sharegpt or text. Default: recognised.")
]
ColumnNames = Annotated[
    str | None, Option("--columns", help="Columns by other names, as in prompt=question,completion=answer.")
]
TrainedBase = Annotated[
    str,
    Option(
        "--base",
        help="The base that would be trained: nano (see owlish list bases), a folder, a GGUF file, owner/name.",
    ),
]
TemplateWords = Annotated[
    list[str] | None,
    Option("--template", help="NAME=VALUE for the base’s chat template, as enable_thinking=false."),
]
JudgeTemplate = Annotated[
    list[str] | None, Option(help="NAME=VALUE for the judge’s chat template, as enable_thinking=false.")
]
FailOn = Annotated[str, Option(help="Verdicts with an exit code of their own (found: 1, cannot_say: 2), or none.")]
KeyStart = Annotated[str, Argument(metavar="KEY", help="A key, or its first characters.")]
StorePlace = Annotated[
    str, Option("--store", metavar="STORE", help="The folder that keeps results, or s3://BUCKET/FOLDER.")
]
Jobs = Annotated[int | None, Option(min=1, help="Number of worker processes, one thread each. Default: one per core.")]
On = Annotated[
    str | None,
    Option("--on", help="Where to compute: ray, or ray://HOST:PORT, with a store that all see. Default: here."),
]
Out = Annotated[Path, Option("--output", "-o", help="The file to write; one that is there is replaced.")]
Page = Annotated[
    Path | None, Option(help="The page to write; a name without .html is a folder for page, SVG, CSV and JSON.")
]
Reports = Annotated[
    list[Path] | None,
    Option(
        "--report",
        help="A file to write: .html is a page, .sarif for code scanning, .xml JUnit; no ending, a folder. Repeatable.",
    ),
]
Limit = Annotated[
    float | None,
    Option(
        "--limit",
        min=0,
        max=1_000_000_000,
        help="The most that paid answers in this store may cost in all. It needs --prices.",
    ),
]
PriceTable = Annotated[
    Path | None, Option("--prices", help="YAML: the price of a million tokens, input and output, for each model.")
]
InBatches = Annotated[bool, Option("--batch", help="Ask services for rows in batches: at half the price, in hours.")]
DryRunOnly = Annotated[
    bool, Option("--dry-run", help="Say what would be read, downloaded and computed, and how long that takes; stop.")
]
AsJson = Annotated[bool, Option("--json", help="Print one JSON object and nothing else.")]

STORE = "owlish-store"
CANDIDATES = "animals,trees,advice"
FAILING = "found,cannot_say"
# Numbers have ends, or infinity would be one.
MINUTES = 1_000_000
