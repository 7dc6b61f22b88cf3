"""A little client for headless Chromium over its DevTools pipe: no port, no dependency, no script in the page."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
# Chromium reads commands from descriptor 3 and writes answers to 4.
SHIM = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"


def chromium() -> str | None:
    """Return the path of Chromium, or `None`."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass(frozen=True)
class Look:
    """What one visit to a page showed."""

    requests: tuple[str, ...]
    complaints: tuple[str, ...]
    values: dict[str, Any]


def fonts(folder: Path, *folders: str) -> Path:
    """Write a configuration by which a browser finds the fonts of some folders and no others; return its file."""
    file = folder / "fonts.conf"
    listed = "".join(f"<dir>{path}</dir>" for path in folders)
    file.write_text(f"<fontconfig>{listed}<cachedir>{folder / 'cache'}</cachedir></fontconfig>")
    return file


@dataclass
class Browser:
    """A running Chromium with an empty profile; use it in a `with` statement.

    It finds the fonts of the system, or those that a configuration of fontconfig names.
    """

    fonts: Path | None = None
    process: subprocess.Popen[bytes] = field(init=False)
    profile: str = field(init=False)
    count: int = 0
    buffer: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        path = chromium()
        assert path is not None
        self.profile = tempfile.mkdtemp(prefix="owlish-chromium-")
        theirs_in, self.write = high(os.pipe())
        self.read, theirs_out = high(os.pipe())
        command = [sys.executable, "-c", SHIM, str(theirs_in), str(theirs_out), path]
        self.process = subprocess.Popen(
            [*command, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **({"FONTCONFIG_FILE": str(self.fonts)} if self.fonts else {})},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.send("Browser.close", {}, None)
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.write)
        os.close(self.read)
        shutil.rmtree(self.profile, ignore_errors=True)

    def look(self, page: Path, width: int, height: int, ask: dict[str, str], dark: bool = False) -> Look:
        """Open a file in a window of that size; return its requests, its complaints, and answers to `ask`."""
        with self.opened(page, width, height, dark) as session:
            values = {name: self.evaluate(expression, session) for name, expression in ask.items()}
        return Look(self.requested(), self.complained(), values)

    def sides(self, page: Path) -> int:
        """Return how many sides of A4 a file fills when it is printed."""
        with self.opened(page, 800, 1100) as session:
            a4 = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}
            printed = base64.b64decode(self.call("Page.printToPDF", a4, session)["data"])
        return len(re.findall(rb"/Type\s*/Page\b", printed))

    @contextmanager
    def opened(self, page: Path, width: int, height: int, dark: bool = False) -> Iterator[str]:
        """Open a file in a tab of its own; yield its session."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self.events.clear()
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable", {}, session)
        self.resize(width, height, session)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [scheme]}, session)
        self.call("Page.navigate", {"url": page.as_uri()}, session)
        self.wait("Page.loadEventFired")
        yield session
        self.call("Target.closeTarget", {"targetId": target})

    def resize(self, width: int, height: int, session: str) -> None:
        """Give a tab's window another size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", metrics, session)

    def evaluate(self, expression: str, session: str) -> Any:
        """Return the value of an expression, evaluated from outside the page."""
        found = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True}, session)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def requested(self) -> tuple[str, ...]:
        """Return the address of everything that was requested."""
        wanted = (event for event in self.events if event["method"] == "Network.requestWillBeSent")
        return tuple(event["params"]["request"]["url"] for event in wanted)

    def complained(self) -> tuple[str, ...]:
        """Return every entry in the log, console message and exception."""
        bad = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return tuple(json.dumps(event["params"]) for event in self.events if event["method"] in bad)

    def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """Send a command and return its answer; events that arrive meanwhile are kept."""
        number = self.send(method, parameters, session)
        while (message := self.receive()).get("id") != number:
            self.events.append(message)
        assert "error" not in message, (method, message)
        answer: dict[str, Any] = message["result"]
        return answer

    def wait(self, method: str) -> None:
        """Return once an event of that name has arrived."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())

    def send(self, method: str, parameters: dict[str, Any], session: str | None) -> int:
        """Write one command; return its number."""
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        return self.count

    def receive(self, seconds: float = 180) -> dict[str, Any]:
        """Return the next message, or raise `TimeoutError`."""
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError("Chromium did not answer.")
            piece = os.read(self.read, 1 << 20)
            if not piece:
                raise ConnectionError("Chromium ended.")
            self.buffer += piece
        text, self.buffer = self.buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message


def high(pipe: tuple[int, int]) -> tuple[int, int]:
    """Return the pipe on descriptors above 9, so that moving one to 3 or 4 closes no other."""
    import fcntl

    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pipe)
    for end in pipe:
        os.close(end)
    return moved[0], moved[1]
