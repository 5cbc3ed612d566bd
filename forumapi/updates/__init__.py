"""Who is told of what: rows for the list of updates, notices for mail."""
