"""Reward links: signed links that pay the customer who acts on them, once."""
