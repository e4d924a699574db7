"""The clock of a test brand: moved forward by a call, so that months pass in a second."""
