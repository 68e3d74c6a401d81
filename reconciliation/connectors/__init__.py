"""Everything that is read from outside: Stripe, ledger exports, bank statements. Connectors do not know each other."""
