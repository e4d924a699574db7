"""Requests as the providers send them, built by us from the shapes that they document: for tests and for `rewards simulate`.

    occasion                                whom and what a request is about
    email messaging engagement generic      the requests of each provider, one for each kind of event, not signed yet
    simulate                                the same, signed, or tampered with

A sample is named after the kind of its event; what follows a hyphen tells the samples of one kind apart.
"""
