"""Pages of microcosms, and of moderation in them."""
