"""Datasets on Hugging Face, streamed row by row at one revision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from owlish.data.records import Piece, Records
from owlish.graph.errors import UserError

NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
FILE = re.compile(r"\.(jsonl?|parquet|[ct]sv|gz|zst)$")


def hosted(source: str) -> bool:
    """Say whether a source is the name of a dataset on Hugging Face, and no file here."""
    return bool(NAME.fullmatch(source)) and not FILE.search(source) and not Path(source).exists()


def revision(source: str) -> str:
    """Return the name of a dataset with the revision that it has now; without, if Hugging Face does not answer."""
    from huggingface_hub import HfApi

    try:
        return f"{source}@{HfApi().dataset_info(source.partition(':')[0]).sha}"
    except Exception:  # whatever the client's HTTP library raises
        return source


def hub_records(source: str, content: str) -> Records:
    """Return the rows of a dataset, `owner/name` with its `:split`, at the revision in `content`."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise UserError(f"{source} is no file here: install owlish[datasets] to get it from Hugging Face.") from None
    name, _, split = source.partition(":")
    commit = content.removeprefix(source)[1:] or None

    def rows() -> Iterator[Piece]:
        try:
            for cells in load_dataset(name, split=split or "train", revision=commit, streaming=True):
                yield None, {name: cell for name, cell in cells.items() if cell is not None}
        except Exception as error:  # whatever the client's HTTP library raises
            why = " ".join(str(error).split())[:200]
            raise UserError(f"{source} is no file here, and Hugging Face does not give it ({why}).") from None

    return Records("row", rows())
