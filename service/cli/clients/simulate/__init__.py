"""`rewards simulate`: what others would send to a running installation.

command        a day of traffic, through the public API or into a file
provider       one event of a messaging provider, signed as it signs
"""
