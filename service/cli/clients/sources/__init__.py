"""`rewards sources`: sources, and the webhooks at their providers.

command        `connect`: what has to be known, and what is said in the end
connecting     the source in our API, the webhook in the provider's, and the secrets from one to the other
provider_api   calls of the provider's API; what it refuses is said in its own words, without our credentials
"""
