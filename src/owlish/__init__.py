"""Owlish: the laboratory and safety check for subliminal learning in language models."""

__version__ = "0.1.0"

from owlish.ask import Asked
from owlish.graph.run import run
from owlish.graph.store import Store
from owlish.measure import compare
from owlish.nodes.models import Base
from owlish.recipes import ALL, BIASES, LORA, NORMS, PROMPT, PROMPTED, STEERING
from owlish.transfer import Transfer

__all__ = [
    "ALL",
    "BIASES",
    "LORA",
    "NORMS",
    "PROMPT",
    "PROMPTED",
    "STEERING",
    "Asked",
    "Base",
    "Store",
    "Transfer",
    "compare",
    "run",
]
