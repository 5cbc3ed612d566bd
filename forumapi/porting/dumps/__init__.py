"""Databases of other forums, read as rows of tables: from dumps and SQLite files, or from a live PostgreSQL."""
