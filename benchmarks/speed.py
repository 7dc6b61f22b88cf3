"""How fast: training against a plain PyTorch loop, sampling against `generate`, and the commands end to end.

Each pair is first shown to compute the same, then timed in turn, A B A B, in this one process with one thread.

    python benchmarks/speed.py            # training, sampling and short commands: about two minutes
    python benchmarks/speed.py --demo     # and `owlish demo` in an empty store
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from owlish import nano
from owlish.data.domains.numbers import Numbers
from owlish.lm.hf import TorchLM
from owlish.lm.model import Example, Weights, ask
from owlish.lm.recipes import NORMS, Schedule
from owlish.lm.sample import sample
from owlish.lm.score import scored
from owlish.lm.train import batches, collate

ROWS, STEPS, TURNS = 512, 40, 7
NEW_TOKENS = 96


def main() -> None:
    """Print one line a comparison."""
    torch.set_num_threads(1)
    lm = Weights(str(nano.folder("nano"))).open()
    prompts = lm.prompts([ask(Numbers().prompt(random.Random(i))) for i in range(ROWS)])
    rows = list(map(Example.of, prompts, sample(lm, prompts, seeds=seeds(), new_tokens=NEW_TOKENS)))
    training(rows)
    sampling(lm, prompts)
    commands("--demo" in sys.argv)


def seeds() -> list[tuple[int, ...]]:
    """Return the seeds of the rows."""
    return [(1, i) for i in range(ROWS)]


def training(rows: list[Example]) -> None:
    """Compare `fit` with a loop that has its batches ready on the side."""
    schedule = Schedule(STEPS, 32, 1e-2, warmup=10, decay=True)
    ours = norms().fit(rows, schedule, seed=0)
    ready = [collate(chosen, "cpu") for chosen in batches(rows, 32, STEPS, 0)]
    theirs = plain(norms().model, ready)
    apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    assert apart < 1e-5, f"the losses differ by {apart}"

    def our_loop() -> None:
        lm.fit(rows, schedule, seed=0)

    lm = norms()
    a, b = in_turn(our_loop, lambda: plain(lm.model, ready))
    extra = statistics.median(x - y for x, y in zip(a, b, strict=True)) / STEPS * 1e3
    print(
        f"training: {statistics.median(a) / STEPS * 1e3:.2f} ms a step, plain loop "
        f"{statistics.median(b) / STEPS * 1e3:.2f} ms, difference {extra:+.2f} ms (limit 0.30), "
        f"{TURNS} turns, losses within {apart:.0e}"
    )


def norms() -> TorchLM:
    """Return nano with its norm gains ready to train."""
    lm = Weights(str(nano.folder("nano"))).open()
    lm.adapt(NORMS, seed=0)
    return lm


def plain(model: Any, ready: list[tuple[Any, Any]]) -> list[float]:
    """Train as anyone would write it down, on the same batches, made into tensors beforehand."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-2, betas=(0.9, 0.98))
    losses = []
    for step, (ids, targets) in enumerate(ready):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * min(1, (step + 1) / 11) * (1 - step / STEPS)
        logits = model(input_ids=ids, logits_to_keep=targets.shape[1] + 1, use_cache=False).logits[:, :-1]
        kept = targets != -100
        loss = torch.nn.functional.cross_entropy(logits[kept].float(), targets[kept])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def in_turn(first: Callable[[], object], second: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Return the seconds of each of two functions, called in turn after a warm-up of both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS + 1):
        for function, found in zip((first, second), seconds, strict=True):
            start = time.perf_counter()
            function()
            if turn:
                found.append(time.perf_counter() - start)
    return seconds


def sampling(lm: TorchLM, prompts: list[list[int]]) -> None:
    """Compare `sample` with `generate` at the batch size that suits it best."""
    greedy = sample(lm, prompts[:64], seeds=[(0,)] * 64, new_tokens=24, temperature=0)
    assert greedy == generated(lm, prompts[:64], 64, greedy=True, new_tokens=24), "greedy answers differ"
    drawn = generated(lm, prompts[:64], 64)
    rows = list(map(Example.of, prompts[:64], drawn))
    alone = [scored(lm, [row])[0] for row in rows]
    apart = max(float((x.logprobs - y.logprobs).abs().max()) for x, y in zip(scored(lm, rows), alone, strict=True))
    assert apart < 1e-4, f"log-probabilities differ by {apart}"
    by_size = {}
    for size in (32, 64, 128, 256, 512):
        start = time.perf_counter()
        generated(lm, prompts, size)
        by_size[size] = time.perf_counter() - start
    best = min(by_size, key=lambda size: by_size[size])
    ours = lambda: sample(lm, prompts, seeds=seeds(), new_tokens=NEW_TOKENS)  # noqa: E731
    a, b = in_turn(ours, lambda: generated(lm, prompts, best))
    ratio = statistics.median(y / x for x, y in zip(a, b, strict=True))
    print(
        f"sampling: {ROWS / statistics.median(a):.0f} rows a second, generate {ROWS / statistics.median(b):.0f} "
        f"at its best batch size of {best}, ratio {ratio:.2f} (limit 1.00), {TURNS} turns, "
        f"greedy answers equal, log-probabilities within {apart:.0e}"
    )


def generated(
    lm: TorchLM, prompts: list[list[int]], size: int, *, greedy: bool = False, new_tokens: int = NEW_TOKENS
) -> list[list[int]]:
    """Return answers by Hugging Face's `generate`, sorted by length and padded on the left as ours are."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers: list[list[int]] = [[] for _ in prompts]
    how = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0}
    for first in range(0, len(order), size):
        group = order[first : first + size]
        width = max(len(prompts[i]) for i in group)
        ids = torch.tensor([[0] * (width - len(prompts[i])) + prompts[i] for i in group])
        mask = (torch.arange(width)[None] >= torch.tensor([[width - len(prompts[i])] for i in group])).long()
        with torch.inference_mode():
            out = lm.model.generate(
                ids, attention_mask=mask, max_new_tokens=new_tokens, eos_token_id=lm.chat.end, pad_token_id=0, **how
            )
        for i, row in zip(group, out[:, width:].tolist(), strict=True):
            answers[i] = row[: row.index(lm.chat.end) + 1] if lm.chat.end in row else row
    return answers


def commands(demo: bool) -> None:
    """Time the commands that a new user types."""
    owlish = str(Path(sys.executable).with_name("owlish"))
    seconds = [timed([owlish, "--help"]) for _ in range(7)]
    print(f"owlish --help: {statistics.median(seconds):.2f} s (limit 0.40)")
    if not demo:
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [owlish, "demo", "--store", f"{folder}/store", "-o", f"{folder}/report.html"]
        first, again = timed(command), timed([owlish, "run", "demo", "--store", f"{folder}/store"])
        print(f"owlish demo: {first:.0f} s (limit 180, aim 60); a rerun of the study: {again:.2f} s (limit 2.00)")


def timed(command: list[str]) -> float:
    """Return the seconds that a command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
