"""Draw what is measured while results are made, in TensorBoard or Weights & Biases: a run of theirs for each model."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from owlish.graph.errors import UserError, import_extra
from owlish.graph.files import check_writable
from owlish.graph.measured import Point
from owlish.graph.pool import Event
from owlish.graph.spec import Node, Value

LONGEST = 100
"""Letters of a run's name before its seed and its key."""
PROJECT = "owlish"
LONGEST_PROJECT, NOT_IN_PROJECTS = 128, r"/\#?%:"


class Curves:
    """Watches a run and draws what its nodes measure, each node's points in the drawing of its subject.

    A drawing is open from the first point about its subject until no planned node is about it any more. What the
    store held before the run is not drawn again.
    """

    def __init__(self, begin: Callable[[Node, bool], TensorBoard | Wandb]) -> None:
        self.begin = begin
        self.left: Counter[str] = Counter()
        self.drawings: dict[str, TensorBoard | Wandb] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for key in list(self.drawings):
            self.end(key)

    def __call__(self, event: Event) -> None:
        """Take one event of the run."""
        subject = event.node.subject
        key, own = subject.key, event.node is subject
        if event.what == "planned":
            self.left[key] += 1
        elif event.what == "begun" and own:
            self.end(key)  # its worker was lost, and it is made anew
        elif event.points:
            if key not in self.drawings:
                self.drawings[key] = self.begin(subject, own)
            self.drawings[key].add(event.points)
        if event.what in ("made", "found", "refused", "failed"):
            self.left[key] -= 1
            if not self.left[key]:
                self.end(key)

    def end(self, key: str) -> None:
        """Close a drawing, if it is open."""
        if drawing := self.drawings.pop(key, None):
            drawing.close()


def curves_of(name: str, *, group: str = "") -> Curves:
    """Return the curves that a user names: `tensorboard:FOLDER`, `wandb`, `wandb:PROJECT` or `wandb:ENTITY/PROJECT`.

    Raise `UserError` where the name means neither, the package is missing, or W&B knows no account. `group` is what
    runs in W&B are grouped by.
    """
    tool, _, place = name.partition(":")
    if tool == "tensorboard" and place:
        check_tensorboard(place)
        return Curves(partial(TensorBoard, Path(place)))
    if tool == "wandb" and (place or name == tool):
        entity, _, project = (place or os.environ.get("WANDB_PROJECT") or PROJECT).rpartition("/")
        check_project(entity, project)
        check_wandb()
        return Curves(partial(Wandb, entity, project, group))
    raise UserError(f"there are no curves called {name!r}: give tensorboard:FOLDER, wandb or wandb:PROJECT.")


def check_project(entity: str, project: str) -> None:
    """Refuse a name that W&B would refuse only once a run begins."""
    if not project or len(project) > LONGEST_PROJECT or set(NOT_IN_PROJECTS) & set(entity + project):
        raise UserError(
            f"{project!r} is no name of a project in W&B: give wandb:PROJECT or wandb:ENTITY/PROJECT (or "
            f"WANDB_PROJECT), at most {LONGEST_PROJECT} letters without any of {NOT_IN_PROJECTS}"
        )


class TensorBoard:
    """A folder of event files below `folder`; if drawn `anew`, what an earlier try left in it is not shown."""

    def __init__(self, folder: Path, subject: Node, anew: bool) -> None:
        from tensorboard.compat.proto.event_pb2 import Event as Written
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        # TensorBoard's own writer: torch's would load torch into the process that only watches.
        self.writer = EventFileWriter(str(folder / run_name(subject)))
        if anew:
            # At this mark, readers of TensorBoard drop what stands at later steps
            # before it: the curve of the try that was lost.
            start = SessionLog(status=SessionLog.START)
            self.writer.add_event(Written(wall_time=time.time(), step=0, session_log=start))

    def add(self, points: Sequence[Point]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event as Written
        from tensorboard.compat.proto.summary_pb2 import Summary

        for name, step, value in points:
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
            self.writer.add_event(Written(wall_time=time.time(), step=step, summary=summary))
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Wandb:
    """A run of Weights & Biases, without what it gathers by itself: the machine, the program, its repository."""

    def __init__(self, entity: str, project: str, group: str, subject: Node, anew: bool) -> None:
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        self.run = wandb.init(
            entity=entity or None,
            project=project,
            group=group or None,
            name=run_name(subject),
            config=config(subject),
            # Else W&B may give the second model of a process the run of the first.
            reinit="create_new",
            settings=settings,
        )

    def add(self, points: Sequence[Point]) -> None:
        for name, step, value in points:
            self.run.log({name: value}, step=step)

    def close(self) -> None:
        self.run.finish()


def run_name(subject: Node) -> str:
    """Return a name for a folder: what the model is, its seed, and the start of its key."""
    words = re.sub(r"[^\w.]+", "-", str(subject))[:LONGEST].strip("-.")
    seed = getattr(subject, "seed", None)
    return "-".join([words, *([] if seed is None else [f"seed-{seed}"]), subject.key[:8]])


def config(subject: Node) -> dict[str, object]:
    """Return the numbers of a node and of the values in it, such as its recipe, with the names of these: no text of
    the user's, which may hold a path."""
    found: dict[str, object] = {"key": subject.key, "kind": subject.kind, **numbers(subject)}
    for field in fields(subject):
        value = getattr(subject, field.name)
        if isinstance(value, Value) and not isinstance(value, Node):
            found[field.name] = {"name": getattr(value, "name", value.kind), **numbers(value)}
    return found


def numbers(value: Value) -> dict[str, object]:
    """Return the fields of a value that are numbers."""
    named = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: found for name, found in named.items() if isinstance(found, int | float)}


def check_tensorboard(folder: str) -> None:
    """Refuse to go on without TensorBoard, or with a file in place of the folder."""
    import_extra("tensorboard", "these curves need TensorBoard: pip install 'owlish[tensorboard]'.")
    if Path(folder).exists() and not Path(folder).is_dir():
        raise UserError(f"{folder} is a file: name a folder for the curves.")
    check_writable(Path(folder))


def check_wandb() -> None:
    """Refuse to go on without W&B, or without an account there unless it is offline."""
    wandb = import_extra("wandb", "these curves need Weights & Biases: pip install 'owlish[wandb]'.")
    try:
        mode = wandb.setup().settings.mode
    except ValueError:  # of pydantic, whose words may repeat a key
        raise UserError(
            "a setting of W&B in the environment is wrong (WANDB_MODE is online or offline): correct it."
        ) from None
    if mode in ("offline", "disabled"):
        return
    try:
        wandb.login()
    except wandb.Error:
        raise UserError("W&B knows no account here: run `wandb login`, or set WANDB_MODE=offline.") from None
