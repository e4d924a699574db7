"""Wallets: what a customer has, when it expires, what happened, and progress to the next reward."""
