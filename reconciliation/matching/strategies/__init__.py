"""One module per strategy. Strategies do not know each other; `cascade` orders them."""
