"""Pages of lists: their totals, their cache and its revalidation; and which page of an item holds a comment."""
