"""Preferences: a customer's own choices of channels, frequency, and whether they want rewards."""
