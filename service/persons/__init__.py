"""Persons: who enrols, by a secret that no holder of a key has seen, and whose keys are whose.

routes    enrolling, listing, disabling
actions   the same for the command line, and inviting, which only the operator does
queries   a brand's persons
"""
