"""Tokens: one module for each kind, and sealing."""
