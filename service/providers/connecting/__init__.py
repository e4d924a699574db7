"""Setting webhooks up through the providers' own APIs: which calls, as data. Nothing here calls anybody.

setup          what a set-up is made of, and how a call is filled in
email, messaging, engagement    the set-ups, by family of providers, each with the page that its facts are from
registry       all of them by name; and what to do in the console of those that have none
"""
