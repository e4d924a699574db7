"""Preferences: what a customer chooses herself, on which channels, how often, and whether she wants rewards at all."""
