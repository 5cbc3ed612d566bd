"""Tests of reports, cases, actions and statements."""
