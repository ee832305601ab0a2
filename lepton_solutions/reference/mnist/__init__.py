"""Handwritten digits by the smallest network that every framework shows. The run reads in `pipeline.py`."""
