"""Closing the books of a month or a day.

routes         close a period, list closes, the checklist of a period
actions        closing: what must be done first, what was skipped and why
checklist      what is left open in a period: blockers, warnings and notes
close_keeper   the agent that stores closes and settles them
"""
