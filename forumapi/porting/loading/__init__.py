"""Loading of an old forum's documents into a site, their comparison with the source, and their removal."""
