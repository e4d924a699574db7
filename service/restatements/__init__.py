"""Restatements: what a closed period should have said of money, recorded by one person and approved by another.

    overlay   what values, estimates and codes are with the restatements up to a number
    queries   a brand's restatements, and the versions of a close
    actions   restating a period; the kind that waits for approval
    routes schemas tables

A restatement changes point values, estimates or account codes from days of a closed period on. It changes no points, and
nothing that was there before: each version of a close is told by how many restatements it has.
"""
