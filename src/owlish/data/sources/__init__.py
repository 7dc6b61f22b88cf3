"""Formats in which rows are published, one per file, found by walking this folder."""
