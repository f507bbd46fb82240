"""Networks: records, address management, one firewall table for all of them, bridges and endpoints, names.

`records`, `ipam`, `ruleset`, `dnsmessage`, `etcfiles` are pure; `bridge`, `ports`, `dns` do the work; `service` is the way in.
A network knows containers by their id and their network namespace, and nothing else about them.
"""
