"""Imaging diagnosis. `pipeline.py` is its table of contents."""
