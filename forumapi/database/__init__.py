"""Connections and statements, reads from standbys, migrations, embedded PostgreSQL."""
