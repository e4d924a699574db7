"""Providers of messages: what their webhooks look like, and how each shows that it sent them. Pure code: bytes in, events out.

types          what comes in and what is made of it
adapter        one provider, as data and pure functions; ``verify`` and ``parse``
registry       all of them, by name
schemes        signature schemes as data; `signed_bytes` has their pieces
reading        bodies and fields, with faults that name what is wrong
email/ generic/    the adapters, one small file each
"""
