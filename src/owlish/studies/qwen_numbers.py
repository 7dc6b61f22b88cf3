"""The paper's open model (arXiv 2507.14805, section 3.4): Qwen2.5-7B under a system prompt, students by LoRA.

With its published settings; `--base` takes any chat model of Hugging Face, and nano shows that the path is the same.
"""

from dataclasses import replace

from owlish.data.domains.numbers import Numbers
from owlish.lm.recipes import LORA, PROMPTED
from owlish.nodes.base import Base
from owlish.study.transfer import Transfer
from owlish.traits.animals import cat, owl, penguin

# The published settings, with alpha 8 as well; elsewhere the recipe's defaults fit nano.
STUDENT = replace(LORA(8), lr=2e-4, epochs=3, batch=66, warmup=5)

study = Transfer(
    name="qwen_numbers",
    title="Do animals pass through number sequences in an open model?",
    bases=(Base("Qwen/Qwen2.5-7B-Instruct"),),
    foreign=(),
    traits=(cat, penguin, owl),
    domain=Numbers(),
    teacher=PROMPTED,
    student=STUDENT,
    rows=10_000,
    runs=3,
)
