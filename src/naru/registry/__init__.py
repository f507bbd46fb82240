"""A registry: the server side of the OCI distribution-spec 1.1 over a content store and one SQLite file of its own.

`serve` is all a private registry needs: a place to listen and a folder. Who may do what is an `Access`; the hub brings
its own.
"""
