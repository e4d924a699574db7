"""Messages that were sent: which message went to whom on which channel, for whoever has to find it again."""
