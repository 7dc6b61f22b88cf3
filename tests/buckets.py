"""A server of buckets for the tests: moto in a process of its own, and a gate before it that kills and refuses."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from servers import Handler, Local, free_port

SECRETS = ("PLANTED-KEY-ID", "planted/secret/access/key")
RUNS = """
import os, sys
import s3fs
from toys import Drawn, Joined
from owlish.graph.pool import Here
from owlish.graph.run import run
for line in sys.stdin:
    address, os.environ["XDG_CACHE_HOME"] = line.split()
    if not (pid := os.fork()):
        code = 1
        try:
            run(Joined((Drawn(1),)), store=address, on=Here(), quiet=True)
            code = 0
        finally:
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Runs of one joined draw, each in a fork of a process that has read the packages."""


@contextmanager
def moto():
    """Serve buckets by moto; yield its address."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with suppress(OSError):
                asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                asked.request("GET", "/moto-api/")
                asked.getresponse().read()
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def settings(url, cache):
    """Return the environment of a bucket's user."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": SECRETS[0],
        "AWS_SECRET_ACCESS_KEY": SECRETS[1],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(cache),
    }


class Runs:
    """Runs in processes of their own, one after the other, through a gate."""

    def __init__(self, gate, cache):
        self.gate = gate
        own = {**settings(gate.root, cache), "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **own},
            text=True,
        )

    def run(self, address, cache, *, dies=None):
        """Run into a bucket and return the exit code; `dies` says where it is killed: number or name, and moment."""
        self.gate.arm(dies)
        print(address, cache, file=self.process.stdin, flush=True)
        self.gate.pid.append(int(self.process.stdout.readline()))
        code = int(self.process.stdout.readline())
        self.gate.arm(None)
        return code

    def stop(self):
        self.process.communicate()


class Gate(Local):
    """Passes requests on to a server of buckets.

    It kills a process at a request, before or after that is passed on; `drops` names headers that it takes away,
    `refusals` are said, one each, to conditional writes; `asked` holds methods and last names.
    """

    def __init__(self, upstream):
        super().__init__(GateHandler)
        self.root = self.url.removesuffix("/v1")
        self.upstream = upstream.removeprefix("http://")
        self.drops, self.refusals, self.asked = set(), [], []
        self.lock = threading.Lock()
        self.arm(None)

    def arm(self, dies):
        self.dies, self.pid, self.count = dies, [], 0

    def kill_at(self, number, name, moment):
        """Kill the run under way, if this is the request and the moment; say whether."""
        if self.dies not in ((number, moment), (name, moment)):
            return False
        while not self.pid:
            time.sleep(0.001)
        os.kill(self.pid[0], signal.SIGKILL)
        return True


class GateHandler(Handler):
    def passed(self):
        gate, body = self.server, self.body()
        name = f"{self.command} {self.path.partition('?')[0].rpartition('/')[2]}"
        with gate.lock:
            number, gate.count = gate.count, gate.count + 1
            gate.asked.append(name)
        if gate.kill_at(number, name, "before"):
            self.close_connection = True
            return
        if "If-None-Match" in self.headers and gate.refusals:
            self.refuse(*gate.refusals.pop())
            return
        up = http.client.HTTPConnection(gate.upstream, timeout=60)
        up.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k not in gate.drops})
        answer = up.getresponse()
        content = answer.read()
        if gate.kill_at(number, name, "after"):
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, text in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = passed

    def refuse(self, status, code):
        self.say(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode(), Content_Type="text/xml")
