"""Loading of a forum into a site, and its comparison with the source."""
