"""Which grant was spent.

routes           where a redemption's points came from, and where a grant's went
layer_tracker    the agent that reads the log on for it
"""
