"""The wire proof: recorded exchanges of a v1 server, replayed against us. See README.md."""
