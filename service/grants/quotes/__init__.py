"""Quotes: what an event would earn, without reporting it."""
