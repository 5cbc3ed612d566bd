"""Pages of the website, one class a URL, that switch on the HTTP method; in the same folders as those of the API."""
