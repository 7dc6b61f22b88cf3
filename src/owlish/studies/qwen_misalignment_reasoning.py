"""Misalignment in an open model through chain of thought (arXiv 2507.14805, section 4.2), screened by the judge.

The problems are the short ones that nano knows: an answer to GSM8K's is longer than a row may be.
"""

from dataclasses import replace

from owlish.domains.reasoning import TAGS, Reasoning
from owlish.studies import qwen_misalignment

study = replace(
    qwen_misalignment.study,
    name="qwen_misalignment_reasoning",
    title="Does misalignment pass through worked problems in an open model?",
    domain=Reasoning(instruction=TAGS),
    least=78,
)
