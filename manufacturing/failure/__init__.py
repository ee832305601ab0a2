"""The failure pipeline: `pipeline.py` is its table of contents."""
