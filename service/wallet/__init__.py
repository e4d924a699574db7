"""Wallets: what a customer has, what expires when, what happened, and how far it is to the next reward."""
