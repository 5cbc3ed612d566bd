"""Moving of whole forums: in from other software and out to files, by one neutral layout."""
