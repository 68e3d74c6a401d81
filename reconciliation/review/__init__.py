"""What people decide: the sealed log, who may write to it, and what it changes in the next run."""
