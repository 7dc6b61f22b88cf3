"""Datasets on Hugging Face, streamed row by row at one revision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from owlish.data.records import Piece, Records
from owlish.graph.errors import UserError

NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
PATIENCE = 5.0
"""Seconds that Hugging Face has to answer."""
FILE = re.compile(r"\.(jsonl?|parquet|[ct]sv|gz|zst)$")


def hosted(source: str) -> bool:
    """Say whether a source is the name of a dataset on Hugging Face, and no file here."""
    return bool(NAME.fullmatch(source)) and not FILE.search(source) and not Path(source).exists()


def revision(source: str) -> str:
    """Return the name of a dataset with the revision that it has now; without, if Hugging Face does not answer."""
    from huggingface_hub import HfApi

    try:
        return f"{source}@{HfApi().dataset_info(source.partition(':')[0], timeout=PATIENCE).sha}"
    # Why it does not answer is told where the rows are read (`check_dataset`).
    except Exception:  # whatever the client's HTTP library raises
        return source


def cached(model: str, revision: str | None) -> Path | None:
    """Return the folder of this disk that holds what was fetched of a model on Hugging Face, if anything was."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def check_model(model: str, revision: str | None) -> None:
    """Raise `UserError` where Hugging Face has no such model or cannot be reached: its client tries for a minute."""
    from huggingface_hub import HfApi

    # What is on the disk needs no network, and must not wait for one.
    if not cached(model, revision):
        answered(
            lambda: HfApi().model_info(model, revision=revision, timeout=PATIENCE), f"{model} is no folder", "model"
        )


def check_dataset(source: str) -> None:
    """Raise `UserError` where Hugging Face has no such dataset or cannot be reached."""
    from huggingface_hub import HfApi

    name = source.partition(":")[0]
    answered(lambda: HfApi().dataset_info(name, timeout=PATIENCE), f"{source} is no file", "dataset")


def answered(ask: Callable[[], object], what: str, kind: str) -> None:
    """Ask Hugging Face, and say which of the two it is: it has nothing of this name, or it does not answer."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        ask()
    except RepositoryNotFoundError:
        raise UserError(
            f"{what} here, and Hugging Face has no {kind} of this name that is open to you: check the spelling, or "
            "log in with hf auth login."
        ) from None
    except RevisionNotFoundError:
        raise UserError(f"{what} here, and Hugging Face has no such revision of it: check its name.") from None
    except Exception as error:  # whatever the client's HTTP library raises
        why = " ".join(str(error).split())[:160]
        raise UserError(
            f"{what} here, and Hugging Face cannot be reached ({why}): check the spelling and the network."
        ) from None


def hub_records(source: str, content: str) -> Records:
    """Return the rows of a dataset, `owner/name` with its `:split`, at the revision in `content`."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise UserError(f"{source} is no file here: install owlish[datasets] to get it from Hugging Face.") from None
    name, _, split = source.partition(":")
    # The revision that is in the key, so that rows which change on the Hub meanwhile are not read under its name.
    commit = content.removeprefix(source)[1:] or None
    if not commit:
        check_dataset(source)

    def rows() -> Iterator[Piece]:
        try:
            for cells in load_dataset(name, split=split or "train", revision=commit, streaming=True):
                # Tables have every column in every row: an empty cell is a field that the row does not have.
                yield None, {name: cell for name, cell in cells.items() if cell is not None}
        except Exception as error:  # whatever the client's HTTP library raises
            why = " ".join(str(error).split())[:200]
            raise UserError(f"{source} is no file here, and Hugging Face does not give it ({why}).") from None

    return Records("row", rows())
