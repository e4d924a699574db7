"""A customer's statement as care, marketing, finance and the auditor each need it.

schemas    the views: each has its own fields, and nothing else
care marketing finance audit   a view each: what it reads, and how it says it
words      what happened, in a sentence for care
csv_text   a view's entries as CSV
routes     one route a view, because each has scopes of its own
"""
