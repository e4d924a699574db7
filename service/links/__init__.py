"""Reward links: signed links in messages that pay the customer who acts on them, once."""
