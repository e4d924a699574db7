"""Engagement platforms, which send over several channels."""
