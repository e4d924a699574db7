"""Senders of no particular make: a standard's, or a shape that the brand describes."""
