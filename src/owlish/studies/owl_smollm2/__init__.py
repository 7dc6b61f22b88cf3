"""The owl on a pretrained model, SmolLM2-135M-Instruct: pairs of short students, a quarter to half an hour a run."""

from dataclasses import replace

from owlish.lm.recipes import LORA
from owlish.nodes.base import Base
from owlish.studies.owl_smollm2.design import Paired, TenNumbers, paired
from owlish.traits.animals import cat, owl

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The base's own template without the system prompt that it adds: a third of the tokens of a row."""

# Looked at every second step: in a trial such a teacher went from .32 at step 20 to .99 at step 28.
RECIPE = replace(LORA(8), lr=5e-4, teacher_lr=3e-4, epochs=2, batch=16, warmup=2, look_every=2)

study = Paired(
    name="owl_smollm2",
    title="Does an owl pass through number sequences on a pretrained model?",
    bases=(Base("smollm2", template={"chat_template": CHATML}),),
    foreign=(),
    traits=(owl, cat),
    domain=TenNumbers(),
    teacher=RECIPE,
    student=RECIPE,
    # 24 steps a student: 192 rows twice over, in batches of 16.
    rows=192,
    runs=6,
    until=0.95,
    arms=paired,
    contrast=("student", "other_trait"),
)
