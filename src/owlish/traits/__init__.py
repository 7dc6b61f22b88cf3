"""Traits: what a model may have and pass on, one file a category, found by walking this folder."""
