"""Linear regression, whose gradient and solution have a closed form. The run reads in `pipeline.py`."""
