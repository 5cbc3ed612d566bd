"""The wire proof: recorded exchanges of the reference, replayed against us. See README.md."""
