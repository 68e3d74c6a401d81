"""Reconcile Stripe against the books. Start reading at `reconciliation.pipeline`."""

__version__ = "0.1.0"
