"""Redemptions: authorize, capture, void, refund."""
