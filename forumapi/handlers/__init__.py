"""Handler classes, one a URL, that switch on the HTTP method; in the same folders as the models."""
