"""Commands that are clients of a running installation: they use its API with a key, and no database.

installation   the client, and what is said where nothing answers
simulate/      what others would send
sources/       providers' webhooks, connected to it
"""
