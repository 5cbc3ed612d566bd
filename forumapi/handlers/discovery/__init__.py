"""Handlers of search and of what is read most."""
