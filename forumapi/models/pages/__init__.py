"""Pages of lists: their totals, their cache and its revalidation."""
