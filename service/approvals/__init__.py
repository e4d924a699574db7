"""Requests that wait for another person: above a brand's limits, or of a kind that always waits.

    kinds               what can wait: a kind's name, its request, and how it is carried out once approved
    limits              what may pass without approval: by request, by maker and day, by customer and day
    counting            what passes adds up, by maker and customer
    actions             asking, deciding, carrying out
    waiting             what a route answers with whose request may have to wait
    changing_limits     the kind that changes the limits themselves
    approval_finisher   the agent that carries out what was approved and not carried out, and expires what nobody decided
    routes queries schemas tables

A capability with requests that may wait declares a ``Kind`` and lets its route answer with ``within_limits``.
"""
