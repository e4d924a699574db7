"""Customers' own pages: the links that open them, and the image that shows a balance in a message."""
