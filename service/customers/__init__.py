"""Customers: their names, merges and splits, verification, balances."""
