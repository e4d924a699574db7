"""Verification: proof that a name is the customer's, which the brand obtains."""
