"""The graph: Dagster and nothing else. Every asset calls one function of `reconciliation` and says what came of it."""
