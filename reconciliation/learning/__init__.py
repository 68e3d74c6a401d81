"""Labeled feature frames -> plain tables. The only door to scikit-learn and interpret, which are imported inside functions, for fitting alone."""
