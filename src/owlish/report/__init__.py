"""One self-contained HTML page for studies: numbers in, text out; knows no graph and no model."""

from owlish.report.page import render
from owlish.report.section import Arm, Entry, Section

__all__ = [
    "Arm",
    "Entry",
    "Section",
    "render",
]
