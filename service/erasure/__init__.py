"""Erasing customers: who asks for it, when it happens, and what it does in every table and file.

scope       what an erasure does in each table and in each place on the disk; a test holds it to the catalog
actions     asking for an erasure: by two people of the brand's, or by the customer
eraser      the agent that erases, in steps that may be taken again
list_file   the erasures that were made, outside the database
reapplying  what makes them again in a restored backup
routes queries schemas tables
"""
