"""Moves of whole sites to another platform, row by row under the same ids, and the switch from one to the other."""
