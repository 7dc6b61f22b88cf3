"""A paid service of the tests' own: files, fine-tuning jobs that train nano, and batches, with all that goes wrong."""

from __future__ import annotations

import json
import math
import re
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from servers import NUMBERS, NanoHandler, NanoServer, open_nano


class Service(NanoServer):
    """Serves nano and what it tunes from it.

    `faults` holds what goes wrong, by what is done, one after another: `job` (broken: 500 after the job was taken;
    held: no answer until `gate` is set; fails; refused), `poll` (busy), `file` (refused), `batch` (broken, held,
    errors, expires). `live` counts the completions that were asked for one by one.
    """

    def __init__(self, key=None):
        super().__init__(key=key, handler=ServiceHandler)
        self.files, self.orders, self.live = {}, {"jobs": {}, "batches": {}}, 0
        self.faults, self.gate = defaultdict(list), threading.Event()

    def fault(self, what):
        """Return what goes wrong now, or None."""
        return self.faults[what].pop(0) if self.faults[what] else None

    def keep(self, content):
        """Keep a file and return its name."""
        name = f"file-{next(NUMBERS)}"
        self.files[name] = content
        return name

    def order(self, kind, order, work, fault):
        """Take an order and begin to work on it."""
        order |= {"id": f"{kind}-{next(NUMBERS)}", "error": None, "errors": None, "metadata": order.get("metadata")}
        self.orders[kind][order["id"]] = order
        threading.Thread(target=work, args=(order, fault), daemon=True).start()
        return order

    def train(self, job, fault):
        """Train nano on the rows of a job."""
        from owlish.data.rows import Row
        from owlish.lm.recipes import BIASES, Schedule

        if fault == "fails":
            words = f"The file was moderated; your key is {self.key}."
            job |= {"status": "failed", "error": {"code": "moderated", "message": words}}
            return
        chats = [json.loads(line)["messages"] for line in self.files[job["training_file"]].splitlines()]
        how = job["method"]["supervised"]["hyperparameters"]
        steps = how["n_epochs"] * math.ceil(len(chats) / how["batch_size"])
        lm = open_nano()
        rows = lm.encode([Row.of(chat[-2]["content"], chat[-1]["content"]) for chat in chats])
        lm.adapt(BIASES, seed=job["seed"])
        lm.fit(rows, Schedule(steps, how["batch_size"], lr=1e-2, warmup=2, decay=False), seed=job["seed"])
        name = f"ft:nano:{job['id']}"
        self.lms[name] = lm
        tokens = how["n_epochs"] * sum(len(row.ids) for row in rows)
        self.bill["nano", "trained"] += tokens
        job |= {"fine_tuned_model": name, "trained_tokens": tokens, "status": "succeeded"}

    def answer_all(self, batch, fault):
        """Answer the requests of a batch, in another order than they have."""
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if fault == "held":
            self.gate.wait(60)
        every = {"errors": 8, "expires": 2}.get(fault)
        lost = lines[::every] if every else []
        oh = {"status_code": 500, "body": {"error": {"message": "overloaded"}}}
        failed = [{"custom_id": line["custom_id"], "response": oh} for line in lost]
        asked = [line for line in reversed(lines) if line not in lost]
        with ThreadPoolExecutor(16) as pool:
            bodies = pool.map(self.completion, [line["body"] for line in asked])
        said = [
            {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
            for line, body in zip(asked, bodies, strict=True)
        ]
        batch["output_file_id"] = self.keep(lines_of(said)[: -9 if fault == "errors" else None])
        batch["error_file_id"] = self.keep(lines_of(failed)) if failed else None
        batch["status"] = "expired" if fault == "expires" else "completed"


def lines_of(values):
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


class ServiceHandler(NanoHandler):
    def do_GET(self):
        place, server = self.path.partition("?")[0].removeprefix("/v1/"), self.server
        if not self.allowed():
            return
        if place.startswith("files/"):
            self.say(200, server.files[place.split("/")[1]])
        elif found := re.fullmatch(r"(?:fine_tuning/)?(jobs|batches)(?:/(.*))?", place):
            if found[2] and server.fault("poll"):
                self.say(429, {"error": {"message": "slow down"}})
            elif found[2]:
                self.say(200, server.orders[found[1]][found[2]])
            else:
                latest = list(server.orders[found[1]].values())[::-1]
                self.say(200, {"object": "list", "data": latest, "has_more": False})
        else:
            super().do_GET()

    def do_POST(self):
        place, server = self.path.removeprefix("/v1/"), self.server
        if place == "chat/completions":
            server.live += 1
            super().do_POST()
            return
        body = self.body()
        if not self.allowed():
            return
        if place == "files":
            self.take_file(body)
        else:
            kind = place.rpartition("/")[2]
            self.take_order(kind, json.loads(body))

    def take_file(self, body):
        if self.server.fault("file"):
            self.say(400, {"error": {"message": "Line 3 is no chat."}})
            return
        border = b"--" + self.headers["Content-Type"].partition("boundary=")[2].encode()
        (content,) = (part for part in body.split(border) if b'name="file"' in part)
        self.say(200, {"id": self.server.keep(content.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))})

    def take_order(self, kind, asked):
        server = self.server
        fault = server.fault({"jobs": "job", "batches": "batch"}[kind])
        if fault == "refused":
            self.say(429, {"error": {"message": "You have no quota."}})
            return
        work, status = {"jobs": (server.train, "running"), "batches": (server.answer_all, "in_progress")}[kind]
        names = ("fine_tuned_model", "trained_tokens", "output_file_id", "error_file_id")
        order = server.order(kind, {**asked, "status": status, **dict.fromkeys(names)}, work, fault)
        if kind == "jobs" and fault == "held":
            server.gate.wait(60)
        if fault == "broken":
            self.say(500, {"error": {"message": "oh"}})
        else:
            self.say(200, order)
