"""Providers of messages: what their webhooks look like, and how each shows that it sent them. Pure code: bytes in, events out.

    types             what comes in and what is made of it
    adapter           one provider, as data and pure functions; ``verify`` and ``parse``
    registry          all of them, by name
    schemes           signature schemes as data; `signed_bytes` has their pieces, `sns` and `jwt` two of their own
    reading, forms    bodies and fields, with faults that name what is wrong
    replies           what a person says in a reply, and what no person wrote
    email/ messaging/ engagement/ generic/    the adapters, one small file each
    connecting/       setting webhooks up through the providers' own APIs, as data; `rewards sources connect` makes the calls
    samples/          requests as the providers send them, signed by `signing`: for tests and simulation

Nothing here knows a source, a database or a framework. Whatever the bytes, nothing here raises: what cannot be read is a fault.
"""
