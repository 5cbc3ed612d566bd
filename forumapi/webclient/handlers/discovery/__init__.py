"""Pages of search and of trending items."""
