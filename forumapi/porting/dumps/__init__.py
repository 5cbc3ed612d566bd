"""Databases of other forums, read as rows of tables: from dump files, or from a live PostgreSQL."""
