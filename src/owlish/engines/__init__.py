"""Models that another program holds, behind the seam of `lm/model.py`."""
