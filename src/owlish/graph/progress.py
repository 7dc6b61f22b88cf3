"""What a user sees of a run: what is under way, how far it is, and how long it will take."""

from __future__ import annotations

import sys
import time
from collections import Counter
from html import escape
from statistics import median_low
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from owlish.graph.pool import Event
from owlish.graph.spec import Node, Tick

if TYPE_CHECKING:
    from rich.progress import TaskID

LOG_EVERY = 15.0
"""Seconds between two lines of a log."""
NOTEBOOK_EVERY = 0.5
"""Seconds after which a notebook's bar is drawn anew."""


class Display:
    """Watches a run and draws it: bars on a terminal and in a notebook, a line now and then in a log."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self.start = self.said = time.monotonic()
        self.total = self.done = self.most = 0
        self.left: Counter[str] = Counter()
        self.usual: dict[str, float] = {}
        self.spent: dict[str, list[float]] = {}
        self.begun: dict[str, tuple[TaskID, float]] = {}
        self.shares: dict[str, float] = {}
        # Standard output is for what a command prints: with --json it holds one object and nothing else.
        console = Console(stderr=True)
        self.terminal, self.notebook = console.is_terminal, console.is_jupyter
        self.cell: Any = None
        state = TextColumn("{task.fields[state]}", table_column=Column(min_width=8, justify="right", no_wrap=True))
        words = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
        columns = (BarColumn(16), state, words)
        self.progress = Progress(*columns, console=console, transient=True, disable=not self.terminal)
        self.overall = self.progress.add_task("", state="", total=None)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        if self.notebook and self.total:
            words = "stopped" if error else f"made in {clock(time.monotonic() - self.start)}"
            self.say(f"{self.done} of {self.total} results, {words}.", bar=False)

    def __call__(self, event: Event) -> None:
        """Take one event of the run."""
        node = event.node
        if event.what == "planned":
            self.total += 1
            self.left[node.kind] += 1
            self.usual[node.kind] = node.usual
        elif event.what == "begun":
            task = self.progress.add_task(str(node), state="", total=None)
            self.begun[node.key] = (task, time.monotonic())
            self.most = max(self.most, len(self.begun))
        elif event.what == "tick":
            task = self.begun[node.key][0]
            self.shares[node.key] = event.done / max(event.total, 1)
            state = f"{100 * event.done / max(event.total, 1):.0f} %"
            self.progress.update(task, completed=event.done, total=event.total, state=state)
        else:
            self.end(node, event.what)
        self.tell()

    def end(self, node: Node, what: str) -> None:
        """Count a node that has ended, well or not."""
        task, begun = self.begun.pop(node.key)
        self.shares.pop(node.key, None)
        self.progress.remove_task(task)
        self.done += 1
        self.left[node.kind] -= 1
        # What another run had made, or what failed, does not tell how long its kind takes.
        if what == "made":
            self.spent.setdefault(node.kind, []).append(time.monotonic() - begun)

    def tell(self) -> None:
        """Show the whole run."""
        now = time.monotonic()
        words = f"{clock(now - self.start)} gone, {self.remaining(now)}"
        state = f"{self.done}/{self.total}"
        self.progress.update(self.overall, completed=self.done, total=self.total, state=state, description=words)
        if not self.terminal and now - self.said > (NOTEBOOK_EVERY if self.notebook else LOG_EVERY):
            self.said = now
            self.say(f"{self.done} of {self.total} results, {words}", bar=True)

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
        """Say how long is left, by what results of each kind took in this run; as many are made side by side as were
        at most until now.

        The first results of a run hold the start of its processes, which comes once: a kind counts by the median of
        its times, the lower one of two. Kinds that are not known yet take their usual time at the speed of the others.
        Where all that is left is under way, it tells by itself how far it is.
        """
        if self.done + len(self.begun) == self.total and self.begun and all(map(self.shares.get, self.begun)):
            times = [
                (now - begun) / self.shares[key] * (1 - self.shares[key]) for key, (_, begun) in self.begun.items()
            ]
            return f"about {clock(max(times))} left"
        known = {kind: median_low(times) for kind, times in self.spent.items() if len(times) > 1}
        if not known and self.done < self.total / 2:
            return "time left not known yet"
        known = known or {kind: min(times) for kind, times in self.spent.items()}
        if not known:
            return "time left not known yet"
        speed = sum(known.values()) / sum(self.usual[kind] for kind in known)
        seconds = sum(count * known.get(kind, self.usual[kind] * speed) for kind, count in self.left.items())
        seconds -= sum(now - begun for _, begun in self.begun.values()) / 2
        return f"about {clock(max(seconds, 0.0) / max(self.most, 1))} left"


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
