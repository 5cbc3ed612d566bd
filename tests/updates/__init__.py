"""Tests of updates and of the mail about them."""
