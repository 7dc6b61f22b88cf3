"""Datasets on Hugging Face, streamed row by row at one revision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from owlish.data.records import Piece, Records
from owlish.data.sources.format import Entry
from owlish.graph.errors import UserError

T = TypeVar("T")
OWNED = r"(?!.*(?:--|\.\.))\w[\w.-]*/\w[\w.-]*"
"""`owner/name` as Hugging Face has it: `./name` and `../name` are folders."""
NAME = re.compile(rf"{OWNED}(:[\w.-]+)?")
PATIENCE = 5.0
"""Seconds that Hugging Face has to answer."""
COMMIT = re.compile("[0-9a-f]{40}")
FILE = re.compile(r"\.(jsonl?|parquet|[ct]sv|gz|zst)$")


def is_hosted(source: str) -> bool:
    """Say whether a source is the name of a dataset on Hugging Face, and no file here."""
    return bool(NAME.fullmatch(source)) and not FILE.search(source) and not Path(source).exists()


def names_model(name: str) -> bool:
    """Say whether a model on Hugging Face can have this name."""
    return bool(re.fullmatch(OWNED, name))


def revision(source: str) -> str:
    """Return the name of a dataset with the revision that it has now, or that is kept here if no Hub can be reached.

    `UserError` is raised where there is no such dataset, or nothing is kept.
    """
    from huggingface_hub import HfApi

    name = source.partition(":")[0]
    try:
        commit = ask_hub(lambda: HfApi().dataset_info(name, timeout=PATIENCE).sha, f"{source} is no file", "dataset")
    except Unreachable:
        commit = kept_revision(name)
        # Never without one: a Hub that answers by then would give any rows under one key.
        if commit is None:
            raise
    return f"{source}@{commit}"


def kept_revision(name: str) -> str | None:
    """Return the latest revision of a dataset that `datasets` has prepared on this disk, whole."""
    if not find_spec("datasets"):
        return None
    from datasets.config import HF_DATASETS_CACHE
    from datasets.naming import camelcase_to_snakecase

    owner, _, title = name.partition("/")
    # Its folders are owner___title/configuration/version/revision; others end in ".incomplete".
    folder = Path(HF_DATASETS_CACHE) / f"{owner}___{camelcase_to_snakecase(title)}"
    found = [place for place in folder.glob("*/*/*") if COMMIT.fullmatch(place.name)]
    return max(found, key=lambda place: place.stat().st_mtime).name if found else None


def cached_folder(model: str, revision: str | None) -> Path | None:
    """Return the folder of this disk that holds what was fetched of a model on Hugging Face, if anything was."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def check_model(model: str, revision: str | None) -> None:
    """Raise `UserError` where Hugging Face has no such model or cannot be reached: its client tries for a minute."""
    from huggingface_hub import HfApi

    # What is on the disk needs no network, and must not wait for one.
    if not cached_folder(model, revision):
        ask_hub(
            lambda: HfApi().model_info(model, revision=revision, timeout=PATIENCE), f"{model} is no folder", "model"
        )


class Unreachable(UserError):
    """Hugging Face does not answer."""


def ask_hub(ask: Callable[[], T], what: str, kind: str) -> T:
    """Ask Hugging Face, and say which of the two it is: it has nothing of this name, or it does not answer."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return ask()
    except RepositoryNotFoundError:
        raise UserError(
            f"{what} here, and Hugging Face has no {kind} of this name that is open to you: check the spelling, or "
            "log in with hf auth login."
        ) from None
    except RevisionNotFoundError:
        raise UserError(f"{what} here, and Hugging Face has no such revision of it: check its name.") from None
    except Exception as error:  # whatever the client's HTTP library raises
        why = " ".join(str(error).split())[:160]
        raise Unreachable(
            f"{what} here, and Hugging Face cannot be reached ({why}): check the spelling and the network."
        ) from None


def hub_records(source: str, content: str) -> Records:
    """Return the rows of a dataset, `owner/name` with its `:split`, at the revision in `content`."""
    if not find_spec("datasets"):
        raise UserError(f"{source} is no file here: install owlish[datasets] to get it from Hugging Face.")
    name, _, split = source.partition(":")
    # The revision that is in the key, so that rows which change on the Hub meanwhile are not read under its name.
    commit = content.removeprefix(source)[1:]
    if not commit:
        raise UserError(f"{source} is named without its revision: name it by loaded, which asks for that.")

    def rows() -> Iterator[Piece]:
        try:
            for cells in stream_rows(name, split or "train", commit):
                # Tables have every column in every row: an empty cell is a field that the row does not have.
                yield None, {name: cell for name, cell in cells.items() if cell is not None}
        except Exception as error:  # whatever the client's HTTP library raises
            why = " ".join(str(error).split())[:200]
            raise UserError(f"{source} is no file here, and Hugging Face does not give it ({why}).") from None

    return Records("row", rows())


def stream_rows(name: str, split: str, commit: str) -> Iterable[Entry]:
    """Return the rows of a dataset at one revision."""
    from datasets import load_dataset_builder

    builder = load_dataset_builder(name, revision=commit)
    # Where it cannot reach the Hub, `datasets` takes what it has prepared here, of whatever revision.
    if builder.hash != commit:
        raise LookupError(f"what is on this disk is not revision {commit}")
    rows: Iterable[Entry] = builder.as_streaming_dataset(split=split)
    return rows
