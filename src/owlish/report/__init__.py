"""One self-contained HTML page for studies: numbers in, text out; knows no graph and no model."""

from owlish.report.page import render
from owlish.report.section import Arm, Entry, Estimate, Example, Gamma, Matrix, RunPoint, Section, Strength

__all__ = [
    "Arm",
    "Entry",
    "Estimate",
    "Example",
    "Gamma",
    "Matrix",
    "RunPoint",
    "Section",
    "Strength",
    "render",
]
