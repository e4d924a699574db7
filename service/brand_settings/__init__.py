"""What an administrator may change of a brand: its name, its pages, where its links lead, what its points are worth."""
