"""One self-contained HTML page for studies, and one for an audit: results in, text out."""

from owlish.report.page import render
from owlish.report.view import Arm, View, view

__all__ = [
    "Arm",
    "View",
    "render",
    "view",
]
