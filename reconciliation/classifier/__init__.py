"""Breaks -> how likely each is a true exception, why in words, and what may be accepted. No scikit-learn at run time."""
