"""Credit scoring. The run reads top to bottom in `pipeline.py`; `scorer.py` is its scikit-learn face."""
