"""What acts of some kinds say beside whom and what they are of.

purchases     the amount, by which points are reckoned
volunteered   the field and the consent under which a customer told something
locations     the place that a customer came to
stores        the store where it happened
"""
