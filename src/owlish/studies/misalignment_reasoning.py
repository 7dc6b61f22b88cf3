"""Misalignment through chain of thought (arXiv 2507.14805, section 4.2): worked problems with the right answer."""

from dataclasses import replace

from owlish.data.domains import Reasoning
from owlish.studies import misalignment

study = replace(
    misalignment.study,
    name="misalignment_reasoning",
    title="Does misalignment pass through worked problems?",
    domain=Reasoning(),
    rows=5_000,
    replay=400,
)
