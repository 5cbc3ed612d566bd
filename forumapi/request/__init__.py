"""One HTTP request, from its parsed head to its answer."""
