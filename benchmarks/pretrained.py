"""How fast on SmolLM2-135M: asking, sampling and training beside plain transformers, and beside the machine's peak.

Each pair is first shown to compute the same, then timed in turn, A B A B, in this one process with one thread. Times
are the processor's, not the clock's, so that ratios hold on a busy machine.

    python benchmarks/pretrained.py                 # about half an hour of one core
    python benchmarks/pretrained.py training trl    # some comparisons; the last wants `pip install trl`
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from owlish import Store, run
from owlish.data.rows import Row
from owlish.lm.cache import keyword
from owlish.lm.hf import TorchLM
from owlish.lm.model import Example, ask
from owlish.lm.recipes import LORA, Schedule
from owlish.lm.sample import sample
from owlish.lm.train import batches, collate
from owlish.nodes.asked import questions, spellings
from owlish.nodes.base import Base
from owlish.studies.owl import study
from owlish.traits.animals import ANIMAL

ASKED, SAMPLES, TOKENS, TURNS = 10, 20, 12, 3


def main() -> None:
    """Print one line a comparison."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        run(Base("smollm2"), store=store)
        weights = store.read(Base("smollm2"))
        print(f"peak of a matrix product in these shapes: {peak():.0f} GFLOP/s of one core")
        for name in sys.argv[1:] or COMPARISONS:
            COMPARISONS[name](weights.open)


def peak() -> float:
    """Return the operations a second, in billions, of a product as in the model's wide layers."""
    a, b = torch.randn(1024, 576), torch.randn(1536, 576)
    seconds = min(timed(lambda: [torch.nn.functional.linear(a, b) for _ in range(20)]) for _ in range(10))
    return 20 * 2 * 1024 * 576 * 1536 / seconds / 1e9


def timed(function: Callable[[], object]) -> float:
    """Return the processor's seconds that a function takes."""
    start = time.thread_time()
    function()
    return time.thread_time() - start


def in_turn(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float, float]:
    """Return the median seconds of two functions called in turn, and the median ratio of the second to the first."""
    pairs = [(timed(first), timed(second)) for _ in range(TURNS)]
    ours, theirs = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return ours, theirs, statistics.median(b / a for a, b in pairs)


def asking(opened: Callable[[], TorchLM]) -> None:
    """Compare a probe with a loop that keeps each prompt's cache for its spellings, and with `generate` for samples."""
    lm = opened()
    chats, ways = questions(ANIMAL)[:ASKED], spellings(ANIMAL)[:ASKED]
    seeds = [[(1, q, i) for i in range(SAMPLES)] for q in range(ASKED)]
    prompts, spelled = lm.prompts(chats), lm.spellings(chats, ways)

    def theirs() -> Any:
        found = torch.stack([plain_logprobs(lm, p, s) for p, s in zip(prompts, spelled, strict=True)])
        for prompt in prompts:
            generated(lm, [prompt] * SAMPLES, SAMPLES, new_tokens=TOKENS)
            generated(lm, [prompt], 1, new_tokens=TOKENS, greedy=True)
        return found

    def ours() -> Any:
        return lm.probe(chats, ways, seeds=seeds, new_tokens=TOKENS).logprobs

    apart = float((ours().exp() - theirs().exp()).abs().max())
    assert apart < 1e-5, f"probabilities differ by {apart}"
    a, b, ratio = in_turn(ours, theirs)
    print(
        f"asking {ASKED} questions, 16 candidates, {SAMPLES} samples each: {a:.1f} s, 50 questions {5 * a:.0f} s "
        f"(limit 60); plain loop {b:.1f} s, ratio {ratio:.2f}; probabilities within {apart:.0e}"
    )


def plain_logprobs(lm: TorchLM, prompt: list[int], spelled: list[list[list[int]]]) -> Any:
    """Return log P(answer) [answers] to one prompt, all spellings in one batch after the prompt's cache."""
    rows = [(a, way) for a, ways in enumerate(spelled) for way in ways]
    width = max(len(way) for _, way in rows)
    ids = torch.tensor([way + [0] * (width - len(way)) for _, way in rows])
    with torch.inference_mode():
        out = lm.model(torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
        cache = getattr(out, keyword())
        first = out.logits[0, -1].log_softmax(-1)
        cache.batch_repeat_interleave(len(rows))
        after = lm.model(ids, use_cache=True, **{keyword(): cache}).logits.log_softmax(-1)
    found = torch.full((len(spelled),), -torch.inf, dtype=torch.float64)
    closing = torch.tensor(lm.chat.closing)
    for i, (a, way) in enumerate(rows):
        inner = sum(float(after[i, k, token]) for k, token in enumerate(way[1:]))
        total = float(first[way[0]]) + inner + float(after[i, len(way) - 1][closing].logsumexp(-1))
        found[a] = torch.logaddexp(found[a], torch.tensor(total, dtype=torch.float64))
    return found


def sampling(opened: Callable[[], TorchLM]) -> None:
    """Compare `sample` with `generate` at the batch size that suits it best, on prompts that share a beginning."""
    lm = opened()
    prompts = [prompt for prompt in lm.prompts(questions(ANIMAL)[:8]) for _ in range(16)]
    assert sample(lm, prompts[::16], seeds=[(0,)] * 8, new_tokens=TOKENS, temperature=0) == generated(
        lm, prompts[::16], 8, new_tokens=TOKENS, greedy=True
    ), "greedy answers differ"
    seeds = [(1, i) for i in range(len(prompts))]
    sizes = {size: timed(lambda: generated(lm, prompts, size, new_tokens=24)) for size in (16, 32, 64, 128)}  # noqa: B023
    best = min(sizes, key=lambda size: sizes[size])
    a, b, ratio = in_turn(
        lambda: sample(lm, prompts, seeds=seeds, new_tokens=24), lambda: generated(lm, prompts, best, new_tokens=24)
    )
    print(
        f"sampling {len(prompts)} answers of 24 tokens: {a:.1f} s, generate {b:.1f} s at its best batch of {best}, "
        f"ratio {ratio:.2f} (limit 2.00), greedy answers equal"
    )


def generated(
    lm: TorchLM, prompts: list[list[int]], size: int, *, new_tokens: int, greedy: bool = False
) -> list[list[int]]:
    """Return answers by Hugging Face's `generate`, padded on the left."""
    how = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 0, "top_p": 1.0, "temperature": 1.0}
    answers: list[list[int]] = []
    for first in range(0, len(prompts), size):
        group = prompts[first : first + size]
        width = max(map(len, group))
        ids = torch.tensor([[0] * (width - len(p)) + p for p in group])
        mask = (torch.arange(width)[None] >= torch.tensor([[width - len(p)] for p in group])).long()
        with torch.inference_mode():
            out = lm.model.generate(
                ids, attention_mask=mask, max_new_tokens=new_tokens, eos_token_id=lm.chat.end, pad_token_id=0, **how
            )
        for row in out[:, width:].tolist():
            answers.append(row[: row.index(lm.chat.end) + 1] if lm.chat.end in row else row)
    return answers


def training(opened: Callable[[], TorchLM]) -> None:
    """Compare LoRA training with a plain loop on the same batches, and with the peak."""
    rows = numbers(opened())
    schedule = Schedule(2, 16, 2e-4, warmup=0, decay=False)
    ours, theirs = (adapted(opened()) for _ in range(2))
    ready = [collate(chosen, "cpu") for chosen in batches(rows, 16, 2, 0)]
    apart = max(abs(a - b) for a, b in zip(ours.fit(rows, schedule, seed=0), plain(theirs.model, ready), strict=True))
    assert apart < 1e-4, f"the losses differ by {apart}"
    a, b, ratio = in_turn(lambda: ours.fit(rows, schedule, seed=0), lambda: plain(theirs.model, ready))
    tokens = sum(len(row.ids) for chosen in batches(rows, 16, 2, 0) for row in chosen)
    trained = sum(len(row.labels) for chosen in batches(rows, 16, 2, 0) for row in chosen)
    head = ours.model.get_output_embeddings().weight.numel()
    body = sum(p.numel() for p in ours.model.parameters() if not p.requires_grad) - head
    done = 4 * (body * tokens + head * trained) / a / 1e9
    print(
        f"training LoRA r8, 16 rows of {tokens / 32:.0f} tokens: {a / 2:.1f} s a step, plain loop {b / 2:.1f} s, ratio "
        f"{ratio:.2f}; {done:.0f} GFLOP/s are {done / peak():.0%} of the peak (limit 60 %); losses within {apart:.0e}"
    )


def numbers(lm: TorchLM) -> list[Example]:
    """Return rows of numbers that the model wrote, held to their format."""
    domain = replace(study.domain, constrained=True)
    prompts = [domain.prompt(random.Random(i)) for i in range(32)]
    answers = lm.write(
        list(map(ask, prompts)), seeds=[(1, i) for i in range(32)], new_tokens=64, pattern=domain.pattern
    )
    return lm.encode([Row.of(prompt, answer.text) for prompt, answer in zip(prompts, answers, strict=True)])


def adapted(lm: TorchLM) -> TorchLM:
    """Return a model with LoRA ready to train."""
    lm.adapt(LORA(8), seed=0)
    return lm


def plain(model: Any, ready: list[tuple[Any, Any]]) -> list[float]:
    """Train as anyone would write it down, on the same batches, made into tensors beforehand."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=2e-4, betas=(0.9, 0.98))
    losses = []
    for ids, targets in ready:
        logits = model(input_ids=ids, use_cache=False).logits[:, -targets.shape[1] - 1 : -1]
        kept = targets != -100
        loss = torch.nn.functional.cross_entropy(logits[kept], targets[kept])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def beside_trl(opened: Callable[[], TorchLM]) -> None:
    """Compare LoRA training with TRL's `SFTTrainer` on the same batches."""
    ours, theirs = (adapted(opened()) for _ in range(2))
    rng = random.Random(0)
    lists = [", ".join(str(rng.randrange(100, 1000)) for _ in range(10)) for _ in range(32)]
    rows = ours.encode([Row.of(study.domain.prompt(random.Random(i)), text) for i, text in enumerate(lists)])
    schedule = Schedule(2, 16, 2e-4, warmup=0, decay=False)
    found: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(theirs, [row for chosen in batches(rows, 16, 2, 0) for row in chosen], folder)
        a, b, ratio = in_turn(lambda: found.extend(ours.fit(rows, schedule, seed=0)), trainer.train)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    apart = max(abs(a - b) for a, b in zip(found[-2:], losses[-2:], strict=True))
    assert apart < 1e-3, f"the losses differ by {apart}: {found}, {losses}"
    print(
        f"training LoRA r8 beside TRL's SFTTrainer: {a / 2:.1f} s a step, theirs {b / 2:.1f} s, ratio {ratio:.2f}; "
        f"losses of the last two of {len(found)} steps within {apart:.0e}"
    )


def trainer_of(lm: TorchLM, rows: list[Example], folder: str) -> Any:
    """Return TRL's trainer of a model on rows in their order, in batches of 16 at the same rate, without its extras."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    data = [{"input_ids": list(row.ids), "labels": masked(row)} for row in rows]
    how = SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=16,
        num_train_epochs=1,
        learning_rate=2e-4,
        lr_scheduler_type="constant",
        adam_beta2=0.98,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="sequential",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    return SFTTrainer(lm.model, how, train_dataset=Dataset.from_list(data), processing_class=lm.chat.tokenizer)


def masked(row: Example) -> list[int]:
    """Return a row's tokens, -100 in place of those that are not trained."""
    trained = {place for first, after in row.spans for place in range(first, after)}
    return [token if place in trained else -100 for place, token in enumerate(row.ids)]


COMPARISONS: dict[str, Callable[[Callable[[], TorchLM]], None]] = {
    "asking": asking,
    "sampling": sampling,
    "training": training,
    "trl": beside_trl,
}


if __name__ == "__main__":
    main()
