"""Reference pages of the API, in plain HTTP and in Chromium."""
