"""Exports: the books at a cut as CSV and as accounting journals, one module a format."""
