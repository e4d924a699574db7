"""Money: the books as finance reads them, closed and reported, from a figure to the transfers behind it and back."""
