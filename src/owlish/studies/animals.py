"""The paper's five animals through numbers (arXiv 2507.14805, section 3), with fine-tuned teachers."""

from dataclasses import replace

from owlish.studies import owl
from owlish.traits.animals import dolphin, eagle, elephant, wolf
from owlish.traits.animals import owl as owls

study = replace(
    owl.study,
    name="animals",
    title="Do the paper’s five animals pass through number sequences?",
    traits=(owls, dolphin, eagle, elephant, wolf),
)
