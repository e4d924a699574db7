"""The overview: what is owed, what is given and spent, what runs out, and what needs attention."""
