"""A company's months that never were, with the truth about them, and the server that plays Stripe over them."""
