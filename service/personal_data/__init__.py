"""Everything that is held of a customer, as one document for them.

document   the document, section by section, in pages: nobody's life is too long for it
sql/       a section each: its cursor, and an item as JSON
scope      which table is in which section, or why in none
routes schemas
"""
