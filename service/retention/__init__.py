"""How long each kind of data is kept, and the agent that keeps to it.

kinds             the kinds, and which table and place is of which; a test holds them to the catalog and to `docs/privacy.md`
retention_keeper  the agent: a batch of each kind at a time, from where it had come
tables            how far it has come
"""
