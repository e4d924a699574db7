"""How much of a customer's attention was asked for of late: what a messaging system asks before it sends one more message."""
