"""Corrections: what should not have been granted is taken back."""
