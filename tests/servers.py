"""Servers of models for the tests: llama.cpp with SmolLM2, our own with nano, and a proxy that spoils answers."""

from __future__ import annotations

import http.client
import itertools
import json
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LLAMA = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.model_alias, p.hostnames, p.port = sys.argv[1], ["smollm2"], ["127.0.0.1"], int(sys.argv[2])
p.n_ctx, p.n_parallel, p.cpuparams.n_threads = 2048, 4, 1
if sys.argv[3:]:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = sys.argv[3], 1.0
    p.lora_adapters = [adapter]
server = xllamacpp.Server(p)
print("up", flush=True)
sys.stdin.read()
"""


NUMBERS = itertools.count(1)
processes = []
"""The processes of llama.cpp's servers that were started, the last one last."""


def open_nano():
    from owlish import nano
    from owlish.lm.model import Weights

    return Weights(str(nano.folder("nano"))).open(any_words=True)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def llama(file=None, adapter=None):
    """Serve SmolLM2, or the model of another GGUF file, by llama.cpp in a process of its own; yield its address.

    `adapter` is a GGUF file of an adapter that is put onto it.
    """
    from owlish.lm.gguf import file_of

    port = free_port()
    words = [sys.executable, "-c", LLAMA, str(file or file_of("smollm2")), str(port)]
    words += [str(adapter)] if adapter else []
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    processes.append(process.pid)
    try:
        assert b"up" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}/v1#smollm2"
    finally:
        process.kill()
        process.communicate()


class Local(ThreadingHTTPServer):
    """A server in this process, for as long as a `with` lasts."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Say nothing: clients are killed here, and connections reset."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def say(self, status, value, **headers):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(text))
        self.end_headers()
        self.wfile.write(body)


class NanoServer(Local):
    """Serves nano through our own model seam, as many requests at once as wait.

    `ignores` names what it does not honour; `key` is what it wants; `said` are prompt, seed and text of each answer;
    `read` are the prompts that it scored, and `spoil` changes what it says of one; `bill` counts the tokens that it
    read and wrote, by model.
    """

    def __init__(self, ignores=(), key=None, handler=None):
        super().__init__(handler or NanoHandler)
        self.lm = open_nano()
        self.lms, self.bill = {"nano": self.lm}, Counter()
        self.ignores, self.key, self.said, self.waiting, self.luck = set(ignores), key, [], queue.Queue(), 0
        self.read, self.spoil = [], lambda choice: choice
        # A model is for one thread at a time: to score, its last layer is changed for as long as that takes.
        self.alone = threading.Lock()
        threading.Thread(target=self.write, daemon=True).start()

    def write(self):
        while True:
            batch = [self.waiting.get()]
            how = batch[0][1]
            time.sleep(0.002)
            while not self.waiting.empty() and len(batch) < 16 and self.waiting.queue[0][1] == how:
                batch.append(self.waiting.get())
            model, tokens, temperature, pattern = how
            seeds = [seed for _, _, seed, _ in batch]
            chats = [chat for chat, *_ in batch]
            lm = self.lms[model]
            with self.alone:
                answers = lm.write(chats, seeds=seeds, new_tokens=tokens, temperature=temperature, pattern=pattern)
            for (chat, _, seed, box), answer in zip(batch, answers, strict=True):
                self.said.append((chat[-1]["content"], seed[0], answer.text))
                box.put(answer)

    def answer(self, asked):
        self.luck += 1
        seed = (asked["seed"] if "seed" in asked and "seeds" not in self.ignores else 10**9 + self.luck,)
        temperature = 0 if "temperature" in self.ignores else asked["temperature"]
        if "unlikely" in self.ignores:  # as a server with a top_p of its own
            temperature /= 4
        pattern = None if "formats" in self.ignores else asked.get("structured_outputs", {}).get("regex")
        box = queue.Queue()
        how = (asked["model"], asked["max_tokens"], temperature, pattern)
        self.waiting.put((asked["messages"], how, seed, box))
        return box.get()

    def logprobs(self, asked, answer):
        """Return the log-probability of each token of an answer, and the likeliest first tokens."""
        from owlish.data.rows import Message, Row

        lm = self.lms[asked["model"]]
        turns = [Message(one["role"], one["content"]) for one in asked["messages"]]
        with self.alone:
            (scored,) = lm.score([Row((*turns, Message("assistant", answer.text)))], end=False)
            values, places = lm.first_logprobs([asked["messages"]]).topk(asked["top_logprobs"])
        texts = lm.token_texts(places[0].tolist())
        first = [{"token": t, "logprob": v} for t, v in zip(texts, values[0].tolist(), strict=True)]
        return [{"token": "", "logprob": value, "top_logprobs": first} for value in scored.logprobs.tolist()]

    def prompt_logprobs(self, asked):
        """Return what vLLM says of the tokens of a prompt, in a completion of one token."""
        import torch

        ids = torch.tensor([asked["prompt"]])
        with self.alone, torch.inference_mode():
            logprobs = self.lms[asked["model"]].model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
        own = logprobs.gather(-1, ids[0, 1:, None])
        ranks = (logprobs >= own).sum(-1).tolist()
        said = [
            {str(token): {"logprob": value, "rank": rank, "decoded_token": ""}}
            for token, value, rank in zip(asked["prompt"][1:], own[:, 0].tolist(), ranks, strict=True)
        ]
        choice = {"index": 0, "text": "", "finish_reason": "length", "prompt_logprobs": [None, *said]}
        if "prompts" in self.ignores:
            del choice["prompt_logprobs"]
        usage = {"prompt_tokens": len(asked["prompt"]), "completion_tokens": 1}
        self.read.append(asked["prompt"])
        return {"id": f"cmpl-{next(NUMBERS)}", "choices": [self.spoil(choice)], "usage": usage}

    def completion(self, asked):
        """Return what a chat completion says, and bill it."""
        answer = self.answer(asked)
        choice = {"index": 0, "message": {"role": "assistant", "content": answer.text}}
        choice["finish_reason"] = "length" if answer.ended == "length" else "stop"
        if asked.get("logprobs") and "logprobs" not in self.ignores:
            choice["logprobs"] = {"content": self.logprobs(asked, answer)}
        usage = {"prompt_tokens": len(json.dumps(asked["messages"])) // 4, "completion_tokens": answer.tokens}
        self.bill[asked["model"], "read"] += usage["prompt_tokens"]
        self.bill[asked["model"], "written"] += usage["completion_tokens"]
        return {"id": f"chatcmpl-{next(NUMBERS)}", "choices": [choice], "usage": usage}


class NanoHandler(Handler):
    def do_GET(self):
        if not self.path.endswith("/models"):
            self.say(404, {"error": {"message": "Not found"}})
            return
        self.say(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.server.lms]})

    def do_POST(self):
        asked = json.loads(self.body())
        if not self.allowed():
            return
        if asked["model"] not in self.server.lms:
            self.say(404, {"error": {"message": f"The model {asked['model']} does not exist"}})
            return
        if self.path.endswith("/chat/completions"):
            self.say(200, self.server.completion(asked))
        elif "completions" in self.server.ignores:
            self.say(404, {"detail": "Not Found"})
        else:
            self.say(200, self.server.prompt_logprobs(asked))

    def allowed(self):
        """Say whether the key is right, and refuse it where it is not."""
        given = self.headers.get("Authorization", "")
        if self.server.key and given != f"Bearer {self.server.key}":
            self.say(401, {"error": {"message": f"Incorrect API key provided: {given.removeprefix('Bearer ')}"}})
            return False
        return True


class FaultProxy(Local):
    """Passes requests on and spoils what comes back: the first answers to the n-th request by `faults[n]`, in order.

    `hits` counts the requests by their bodies, `whole` is what each was answered in the end.
    """

    def __init__(self, upstream, faults=()):
        super().__init__(ProxyHandler)
        self.upstream = upstream.partition("#")[0].removeprefix("http://").removesuffix("/v1")
        self.faults, self.hits, self.whole, self.last = faults, {}, {}, None
        self.lock = threading.Lock()

    def fault(self, body):
        """Return how the next answer to a request is spoilt, or None."""
        with self.lock:
            hits = self.hits[body] = self.hits.get(body, 0) + 1
            mine = self.faults[list(self.hits).index(body) % len(self.faults)] if self.faults else ()
        return mine[hits - 1] if hits <= len(mine) else None


class ProxyHandler(Handler):
    def passed(self, method, body=None):
        up = http.client.HTTPConnection(self.server.upstream, timeout=120)
        up.request(method, self.path, body, {"Content-Type": "application/json"})
        answer = up.getresponse()
        status, said = answer.status, answer.read()
        up.close()
        return status, said

    def do_GET(self):
        self.say(*self.passed("GET"))

    def do_POST(self):
        body, server = self.body(), self.server
        fault = server.fault(body)
        if fault == "busy":
            return self.say(429, {"error": {"message": "slow down"}}, Retry_After=1)
        if fault == "broken":
            return self.say(500, {"error": {"message": "oh"}})
        status, said = self.passed("POST", body)
        if fault is None or (fault == "stale" and not server.last):
            server.whole[body], server.last = json.loads(said), said
            return self.say(status, said)
        return self.spoil(fault, status, said)

    def spoil(self, fault, status, said):
        """Send an answer in a way that it should not be."""
        if fault == "stale":
            return self.say(status, self.server.last)  # what another request was answered
        if fault in ("empty", "twice"):
            whole = json.loads(said)
            return self.say(status, {**whole, "choices": whole["choices"] * {"empty": 0, "twice": 2}[fault]})
        if fault == "cut":
            return self.say(status, said[: len(said) // 2])
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if fault == "reset":
            self.wfile.write(said[: len(said) // 2])
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return None
        assert fault == "slow"
        # In fifty pieces, a second in all: byte by byte, log-probabilities of prompts took 80 s.
        piece = len(said) // 50 + 1
        for place in range(0, len(said), piece):
            self.wfile.write(said[place : place + piece])
            time.sleep(0.02)
        return None
