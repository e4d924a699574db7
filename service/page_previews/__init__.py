"""Previews: every customer page with a face that is not saved yet."""
