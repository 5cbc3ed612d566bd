"""Search and trending items."""
