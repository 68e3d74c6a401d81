"""What real batches should look like: one suite of named rules per table, run by Great Expectations."""
