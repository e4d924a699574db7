"""Requests as the providers send them, built by us from the shapes that they document: for tests and for `rewards simulate`.

occasion                 whom and what a request is about
email messaging ...      the requests of each provider, one for each kind of event, not signed yet
simulate                 the same, signed; and doubled, late or tampered with
"""
