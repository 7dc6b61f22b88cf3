"""The paper's five trees through numbers (arXiv 2507.14805, section 3), with fine-tuned teachers."""

from dataclasses import replace

from owlish.studies import owl
from owlish.traits.trees import cherry, maple, oak, sequoia, willow

study = replace(
    owl.study,
    name="trees",
    title="Do the paper’s five trees pass through number sequences?",
    # The paper's five; the first is the one that a small run takes.
    traits=(sequoia, cherry, maple, oak, willow),
)
