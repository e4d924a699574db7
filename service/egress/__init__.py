"""The guarded way out: all that this service resolves or fetches for somebody else goes through here.

    addresses   which addresses may be connected to at all: none that is private, of this machine, or of a cloud's inside
    resolving   a host's text records and addresses: bounded in time, size and steps; what was checked is what is connected to
    questions   how the DNS is asked, by a library that is loaded with the first question
    calling     a request over HTTPS, and the whole answer; `fetching` gets what is somewhere

Who asks us to look something up chooses the name, and so may choose what it leads to. Nothing else in the service resolves a
name that came from outside, and nothing connects to an address that did not come from here.
"""
