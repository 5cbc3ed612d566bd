"""Databases of other forums, read from dump files as rows of tables."""
