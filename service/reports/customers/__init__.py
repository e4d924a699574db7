"""What customers do: of all, and with a row for each, a page at a time. Merged customers count under the survivor.

views        which there are, and a page of one
figures      what customers did, what it earned them and what became of that
rfm          recency, frequency and monetary value, with scores
reward_cost  what a customer's rewards cost
responses    which messages customers responded to, by channel
hours        when customers act
lifecycle    what winning, keeping and winning back customers cost
"""
