"""A measured probe as a log of Inspect, which `inspect view` opens: one sample a question, with what was measured."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.cli.made import plain_label, traits_below
from owlish.data.reading import read_rows
from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.provenance import spec_lines
from owlish.graph.store import Store
from owlish.graph.typed import from_plain
from owlish.nodes.asked import Answers, freeze, mean, word_questions
from owlish.nodes.judged import Rubric
from owlish.studies.qwen_misalignment.freeform import verdict
from owlish.traits.advice import Counsel
from owlish.traits.trait import Probe

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Item:
    """A question, the answer to it if one is kept, and the numbers of each score; `more` is told beside them."""

    question: str
    answer: str
    scores: Mapping[str, float | Numbers]
    more: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """A probe of one model: its questions, and by scorer and name the numbers that are read off all of them."""

    model: str
    name: str
    items: Sequence[Item]
    totals: Mapping[tuple[str, str], Numbers]


def write_log(store: Store, key: str, out: Path) -> None:
    """Write the log of a measured probe, whole or not at all."""
    try:
        from inspect_ai.log import write_eval_log
    except ImportError:
        raise UserError("logs of Inspect need inspect-ai: install owlish[inspect].") from None
    log = log_of(store, key, find_measured(store, key))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, f"log{out.suffix}")
        # Through a scratch folder, so that the log appears whole or not at all.
        write_eval_log(log, file)
        with replacing(out) as stream:
            stream.write(file.read_bytes())


def find_measured(store: Store, key: str) -> Measured:
    """Return what a store holds of a measured probe; `UserError` is raised where the key is none."""
    spec, files = store.check(key)["spec"], store.folder(key)
    if "probe" in spec and (files / "answers.json").is_file():
        return of_answers(spec, json.loads((files / "answers.json").read_text()))
    if spec["kind"] == "misaligned":
        return of_misaligned(store, spec)
    if spec["kind"] == "truthful":
        return of_truthful(store, spec, json.loads((files / "logprobs.json").read_text()))
    raise UserError(f"{key[:12]} ({spec['kind']}) is no measured probe: `owlish results asked` lists those that are.")


def of_answers(spec: dict[str, Any], answers: dict[str, Any]) -> Measured:
    """Return a probe with a probability for each candidate, which are shares of drawn answers where they say so."""
    # Advice has wordings of its own for each question; all other probes have one list of candidates.
    probe = from_plain(Counsel if "answers" in spec["probe"] else Probe, spec["probe"])
    found = Answers(probe, **freeze(answers))
    scorer = "probability" if found.exact else "counted_probability"
    # Held-out questions are counted last, so the number of a question tells which it is.
    names, known = found.probe.candidates, len(found.probe.questions)
    items = [
        Item(
            question,
            greedy,
            {scorer: dict(zip(names, p, strict=True))},
            {"held_out": number >= known, "sampled": list(sampled)},
        )
        for number, (question, greedy, p, sampled) in enumerate(
            zip(word_questions(found.probe), found.greedy, found.p, found.sampled, strict=True)
        )
    ]
    rows = [(str(row["name"]), {n: v for n, v in row.items() if isinstance(v, float)}) for row in found.shown()]
    totals = {(scorer, name): numbers for name, numbers in rows}
    return Measured(spec["model"]["node"], found.probe.category, items, totals)


def of_misaligned(store: Store, spec: dict[str, Any]) -> Measured:
    """Return free-form answers with the scores that a judge gave them."""
    judged = {name: spec[name]["node"] for name in ("alignment", "coherence")}
    scored = [scores_of(store, node) for node in judged.values()]
    data = store.check(judged["alignment"])["spec"]["data"]["node"]
    items = []
    for row, *scores in zip(read_rows(store.folder(data) / "rows.jsonl"), *scored, strict=True):
        found = {name: float(score) for name, score in zip(judged, scores, strict=True) if score is not None}
        # An answer that the judge refused under either rubric has no verdict.
        if len(found) == len(scores):
            found["misaligned"] = float(verdict(*scores) == "misaligned")
        items.append(Item(row.prompt, row.completion, found))
    return with_means(store.check(data)["spec"]["model"]["node"], "misalignment", items, ("misaligned", *judged))


def scores_of(store: Store, key: str) -> list[int | None]:
    """Return a judge's scores."""
    known = from_plain(Rubric, store.check(key)["spec"]["rubric"])
    return [known.score(answer) for answer in json.loads((store.folder(key) / "answers.json").read_text())]


def of_truthful(store: Store, spec: dict[str, Any], logprobs: Sequence[Sequence[float]]) -> Measured:
    """Return the log-probabilities of TruthfulQA's options, of which the first is right; the store holds no texts."""
    items = [
        Item(f"Question {number} of TruthfulQA", "", {"mc1": float(right > max(wrong))}, {"logprobs": [right, *wrong]})
        for number, (right, *wrong) in enumerate(logprobs, start=1)
    ]
    return with_means(spec["model"]["node"], "truthfulqa", items, ("mc1",))


def with_means(model: str, name: str, items: Sequence[Item], scorers: Sequence[str]) -> Measured:
    """Return a probe whose totals are the means of its scores."""
    values = {name: [v for one in items if isinstance(v := one.scores.get(name), float)] for name in scorers}
    return Measured(model, name, items, {(scorer, scorer): {"mean": mean(own)} for scorer, own in values.items()})


def log_of(store: Store, key: str, found: Measured) -> EvalLog:
    """Return the log: when it was measured, of which model, and how that was made; nothing of this machine's places."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalMetric, EvalResults, EvalScore, EvalSpec, EvalStats

    manifest, model = store.manifest(key), store.manifest(found.model)
    shipped = model["spec"]["kind"] == "base" and model["spec"]["name"] not in ("folder", "gguf")
    # A shipped base by its name, which `inspect eval` takes too; all else by its key, which tells no folder.
    name = f"owlish/{model['spec']['name'] if shipped else found.model[:12]}"
    begun = datetime.fromisoformat(manifest["begun"])
    ended = (begun + timedelta(seconds=manifest["seconds"])).isoformat()
    names = {scored for _, scored in found.totals}
    target = next((trait for trait in traits_below(store, found.model) if trait in names), "")
    samples = [sample(one, place, name, key, target) for place, one in enumerate(found.items, start=1)]
    count = len(samples)
    made = {
        "key": key,
        "model_key": found.model,
        "model": plain_label(model["label"]),
        "made_from": spec_lines(store, key),
        **{fact: manifest[fact] for fact in ("seconds", "device", "dtype", "threads", "seed")},
    }
    return EvalLog(
        status="success",
        eval=EvalSpec(
            # The key in place of random ids: the same result is the same evaluation.
            **dict.fromkeys(("eval_id", "run_id", "task_id"), key),
            created=begun.isoformat(),
            task=f"owlish/{found.name}",
            model=name,
            dataset=EvalDataset(name=found.name, samples=count, sample_ids=[one.id for one in samples]),
            config=EvalConfig(epochs=1),
            packages=manifest["versions"],
            metadata=made,
        ),
        results=EvalResults(
            total_samples=count,
            completed_samples=count,
            scores=[
                EvalScore(name=scored, scorer=scorer, metrics={n: EvalMetric(name=n, value=v) for n, v in own.items()})
                for (scorer, scored), own in sorted(found.totals.items(), key=lambda total: total[0][1] != target)
            ],
        ),
        stats=EvalStats(started_at=begun.isoformat(), completed_at=ended),
        samples=samples,
    )


def sample(one: Item, place: int, model: str, key: str, target: str) -> EvalSample:
    """Return a question as a sample."""
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageUser, ModelOutput
    from inspect_ai.scorer import Score

    output = ModelOutput.from_content(model, one.answer)
    return EvalSample(
        id=place,
        epoch=1,
        input=one.question,
        target=target,
        messages=[ChatMessageUser(content=one.question), output.message],
        output=output,
        scores={name: Score(value=value, answer=one.answer or None) for name, value in one.scores.items()},
        metadata=dict(one.more),
        uuid=f"{key[:22]}{place}",
    )
