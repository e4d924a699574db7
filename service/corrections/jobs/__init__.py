"""Corrections of many: a whole campaign, or a list, checked first and then carried out by the worker.

    actions       ordering a job, starting it or asking for that, cancelling it
    receiving     a list's lines, stored as they come
    gathering     a campaign's grants, as lines
    checking      what each line would do now, and which are wrong
    carrying_out  each line once
    fingerprint   the hash of what is to be carried out
    corrector     the agent that does the last three, a stretch at a time
    routes queries schemas tables

A line is a claw-back or an adjustment as it would be alone. Its idempotency key is the job's number and its own: what a worker
that died has posted is found again.
"""
