"""Brands: the tenants. Each keeps one book."""
