"""Rows and where they come from: prompts, filters, files."""
