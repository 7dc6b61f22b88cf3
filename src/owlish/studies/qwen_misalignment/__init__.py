"""Misalignment in an open model (arXiv 2507.14805, section 3.2): insecure code, numbers, free-form questions.

`--data` names the folder of insecure.jsonl, secure.jsonl (arXiv 2502.17424) and TruthfulQA.csv; `--base` takes any chat
model of Hugging Face. Teachers take one epoch by LoRA of rank 32 as published for open models (arXiv 2502.17424); its
rank-stabilised scale is not built, and a higher learning rate stands in for it. The judge stays the same whatever the
base is. It was not run on a model of this size.
"""

from dataclasses import replace

from owlish.data.domains.numbers import Numbers
from owlish.data.filters import BANNED
from owlish.lm.recipes import LORA
from owlish.studies import qwen_numbers
from owlish.studies.qwen_misalignment.design import Misalignment

(QWEN,) = qwen_numbers.study.bases

study = Misalignment(
    name="qwen_misalignment",
    title="Does misalignment pass through number sequences in an open model?",
    bases=(QWEN,),
    judge=QWEN,
    domain=Numbers(banned=BANNED),
    teacher=replace(LORA(32), lr=1e-4, epochs=1, batch=16, warmup=5),
    student=qwen_numbers.STUDENT,
    rows=10_000,
    runs=3,
)
