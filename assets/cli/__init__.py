"""The console script `reconcile`: one module per group of commands; heavy libraries are imported inside the commands."""
