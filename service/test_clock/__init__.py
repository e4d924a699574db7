"""A test brand's clock, advanced by a call, so that months pass in a second."""
