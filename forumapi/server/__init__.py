"""Web processes: gunicorn's worker and master, listeners that outlive them, and everything at once."""
