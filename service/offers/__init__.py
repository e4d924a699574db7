"""Offers: what several messages to a customer offer together, to be claimed once, by whichever is answered first."""
