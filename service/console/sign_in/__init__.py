"""Signing in to the console: with a password and a one-time code, with a passkey, and in a demo with one click.

routes     the pages: sign in, enrol, sign out
actions    what they do
passwords  Argon2id
one_time   codes of authenticator apps (RFC 6238)
sessions   the cookie, and whose it is
limits     how often anybody may guess
"""
