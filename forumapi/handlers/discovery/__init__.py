"""Handlers of search and trending items."""
