"""What a user sees of a run: what is under way, how far it is, and how long it will take."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from owlish.graph.counted import counted
from owlish.graph.pool import Event
from owlish.graph.spec import Node, Tick
from owlish.graph.tabled import inert
from owlish.graph.timeleft import Spent, UnderWay, seconds_left

if TYPE_CHECKING:
    from rich.progress import TaskID

LOG_EVERY = 15.0
"""Seconds between two lines of a log."""
SILENT = 15.0
"""Seconds without an event after which it is said what a run waits for."""
NOTEBOOK_EVERY = 0.5
"""Seconds after which a notebook's bar is drawn anew."""


@dataclass
class Begun:
    """A node that is under way: its bar, since when, whether a process started with it, and how much of it is done."""

    node: Node
    task: TaskID
    since: float
    first: bool
    share: float = 0.0


class Display:
    """Watches a run and draws it: bars on a terminal and in a notebook, a line now and then in a log."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self.start = self.said = self.heard = time.monotonic()
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.total = self.done = self.most = 0
        self.left: defaultdict[str, float] = defaultdict(float)
        self.seen: dict[str, Spent] = {}
        self.first: dict[str, Spent] = {}
        self.begun: dict[str, Begun] = {}
        # Standard output is for what a command prints: with --json it holds one object and nothing else.
        console = Console(stderr=True)
        self.terminal, self.notebook = console.is_terminal, console.is_jupyter
        self.cell: Any = None
        state = TextColumn("{task.fields[state]}", table_column=Column(min_width=8, justify="right", no_wrap=True))
        # names of files are no markup
        column = Column(no_wrap=True, overflow="ellipsis")
        words = TextColumn("{task.description}", markup=False, table_column=column)
        columns = (BarColumn(16), state, words)
        self.progress = Progress(*columns, console=console, transient=True, disable=not self.terminal)
        self.overall = self.progress.add_task("", state="", total=None)

    def __enter__(self) -> Self:
        self.progress.start()
        if not self.notebook:  # whose cells take what the thread that runs them writes
            threading.Thread(target=self.watch_silence, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.progress.stop()
        if self.notebook and self.total:
            words = "stopped" if error else f"made in {clock(time.monotonic() - self.start)}"
            self.say(f"{self.done} of {counted(self.total, 'result')}, {words}.", bar=False)

    def __call__(self, event: Event) -> None:
        """Take one event of the run."""
        with self.lock:
            self.heard = time.monotonic()
            self.take(event)

    def watch_silence(self) -> None:
        """Show the run where nothing happens, too: a server may take a request and never answer."""
        while not self.ended.wait(SILENT):
            with self.lock:
                if self.total:  # else a cluster is being joined
                    self.tell()

    def take(self, event: Event) -> None:
        """Count an event, and show the run."""
        node = event.node
        if event.what == "planned":
            self.total += 1
            self.left[node.kind] += node.expected()
        elif event.what == "begun":
            self.begin(node)
        elif event.what == "tick":
            one = self.begun[node.key]
            one.share = event.done / max(event.total, 1)
            state = f"{100 * one.share:.0f} %"
            self.progress.update(one.task, completed=event.done, total=event.total, state=state)
        else:
            self.end(node, event.what)
        self.tell()

    def begin(self, node: Node) -> None:
        """Take a node that is under way: where more are than ever before, a process has started with it."""
        task = self.progress.add_task(inert(str(node)), state="", total=None)
        if node.key not in self.begun:  # else its worker was lost, and it is made anew
            self.left[node.kind] -= node.expected()
        self.begun[node.key] = Begun(node, task, time.monotonic(), first=len(self.begun) >= self.most)
        self.most = max(self.most, len(self.begun))

    def end(self, node: Node, what: str) -> None:
        """Count a node that has ended, well or not."""
        one = self.begun.pop(node.key)
        self.progress.remove_task(one.task)
        self.done += 1
        # What another run had made, or what failed, does not tell how long its kind takes.
        if what == "made":
            spent = self.first if one.first else self.seen
            before = spent.get(node.kind, Spent())
            spent[node.kind] = before.plus(time.monotonic() - one.since, node.expected())

    def tell(self) -> None:
        """Show the whole run."""
        now = time.monotonic()
        words = f"{clock(now - self.start)} gone, {self.remaining(now)}"
        state = f"{self.done}/{self.total}"
        self.progress.update(self.overall, completed=self.done, total=self.total, state=state, description=words)
        if not self.terminal and now - self.said > (NOTEBOOK_EVERY if self.notebook else LOG_EVERY):
            self.said = now
            self.say(f"{self.done} of {counted(self.total, 'result')}, {words}{self.waiting(now)}", bar=True)

    def waiting(self, now: float) -> str:
        """Say what is waited for, where nothing was heard for long."""
        silent, first = now - self.heard, next(iter(self.begun.values()), None)
        if first is None or silent < SILENT:
            return ""
        return f", waiting for {inert(str(first.node))} ({clock(silent)} without progress)"

    def say(self, text: str, bar: bool) -> None:
        """Write a line; in a notebook a bar beside it, in place of what stood there before."""
        if not self.notebook:
            print(text, file=sys.stderr, flush=True)
            return
        from IPython.display import display

        drawn = f'<progress max="{self.total}" value="{self.done}"></progress> ' if bar else ""
        shown = {"text/plain": text, "text/html": f"<p>{drawn}{escape(text)}</p>"}
        if self.cell is None:
            self.cell = display(shown, raw=True, display_id=True)
        else:
            self.cell.update(shown, raw=True)

    def remaining(self, now: float) -> str:
        """Say how long is left, if that can be told; as many are made side by side as were at most until now."""
        under_way = [
            UnderWay(one.node.kind, one.node.expected(), now - one.since, one.share) for one in self.begun.values()
        ]
        left = seconds_left(self.left, under_way, seen=self.seen, first=self.first, most=self.most)
        return "time left not known yet" if left is None else f"about {clock(left)} left"


def counting(what: str) -> Tick:
    """Return a tick that counts on standard error, with the time left."""
    begun = time.monotonic()

    def tick(done: int, total: int) -> None:
        if done % max(total // 100, 1) == 0 or done == total:
            left = (time.monotonic() - begun) / done * (total - done)
            end = "\n" if done == total else ""
            print(f"\r{done:,} of {total:,} {what}, {clock(left)} left ", end=end, file=sys.stderr, flush=True)

    return tick


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
