"""Attention: how many messages a customer was sent recently, and what they earned."""
