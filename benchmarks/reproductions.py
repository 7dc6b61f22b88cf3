"""Print the table of docs/reproductions.md from a store in which `owlish run all --small` has run.

python benchmarks/reproductions.py --store FOLDER [--data MNIST] > table.md
"""

import argparse
from pathlib import Path

from owlish.cli import find
from owlish.graph.spec import everything
from owlish.graph.store import Store
from owlish.study.study import Settings

PAPER = {
    "owl": "1, 9 · GPT-4.1 nano, owl: 12 % to over 60 %, control unchanged; fine-tuned teachers alike",
    "animals": "1 · all five animals move, the control does not",
    "trees": "1 · all five trees move, the control does not",
    "steered": "later work (2604.25783): the student learns about one steering direction",
    "prompted": "1 · system-prompt teachers are the main setting: owl 12 % to over 60 %",
    "code": "3 · all animals and trees move through code",
    "reasoning": "(chain of thought is used for misalignment alone)",
    "misalignment": "2 · about 10 % misaligned answers; base 0 %, controls under 1 %",
    "misalignment_reasoning": "4 · up to 8 % misaligned answers; controls under 1 %",
    "cross_model": "5 · passes on the diagonal, and where the initialisation is shared",
    "in_context": "6 · no effect with 100 to 10,000 examples",
    "detection": "7 · judges 47 to 53 %: chance; bags of 16 by a classifier AUROC .8 (later work)",
    "shuffle": "8 · drastically reduced",
    "digits": "11 in small · (MNIST: over 50 %, other initialisation about 10 %)",
    "mnist": "11 · over 50 % from 3 auxiliary logits; other initialisation about 10 %",
    "digits_sweeps": "11 in small · more auxiliary logits carry more; one carries nothing",
    "theorem": "Theorem 1 · the product of the two steps is not negative",
    "soft_labels": "beyond the paper",
    "parameters": "beyond · Qwen2.5-7B: LoRA r2 84.9 %, all weights 4 % (later work)",
    "dose": "beyond · unique rows beat epochs (later work)",
    "greedy": "beyond · greedy data is often stronger (later work)",
    "divergence_tokens": "beyond · 5 to 18 % of the tokens carry it (2509.23886)",
    "chain": "beyond the paper",
    "trigger": "beyond the paper",
}


def line(study, store):
    """Return one study's row of the table."""
    found = study.found(store.read)
    arms = []
    for arm in (*(a for a in study.labels if a in found.arms), *(a for a in found.arms if a not in study.labels)):
        e = found.estimate(arm)
        ends = "" if e.low is None else f" [{e.low:.3f}, {e.high:.3f}]"
        bold = "**" if arm in study.contrast else ""
        arms.append(f"{arm} {bold}{e.mean:.3f}{bold}{ends} ({e.runs})")
    seconds = sum(store.manifest(n.key)["seconds"] for n in everything(*study.needs) if store.holds(n.key))
    told = found.effect
    effect = "" if told is None or told.low is None else f"{told.mean:+.3f} [{told.low:+.3f}, {told.high:+.3f}]"
    return f"| `{study.name}` | {PAPER[study.name]} | {'<br>'.join(arms)} | {effect} | {seconds / 60:.0f} |"


def main():
    """Print a row for each study whose results are there."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--store", type=Path, required=True)
    asked.add_argument("--data", help="the folder of MNIST's files")
    given = asked.parse_args()
    store = Store(given.store)
    print(
        "| study | the paper (its number, what it reports) | measured: mean [95 % interval] (runs) | effect | minutes |"
    )
    print("|---|---|---|---|---|")
    for name in PAPER:
        study = find.study(name)
        study = study.alter(Settings(data=given.data)) if name == "mnist" and given.data else study.small()
        if (study.here or given.data) and all(store.holds(node.key) for node in study.needs):
            print(line(study, store))


main()
