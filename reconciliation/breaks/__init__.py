"""Open items and differences -> breaks with a kind, the facts that explain them, and a cause."""
