"""Merges: which names are one customer; names are attached, customers merged and split."""
