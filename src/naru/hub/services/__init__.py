"""What people can do at a hub, whichever way they come: from the API, the pages, or the command line.

Each is a function of a Connection and of Who asks: it decides whether they may, does it, and writes it into the audit log, in the one
transaction it is called in. Raises NotFound for what one may not even see, Forbidden for what one may see and not do.
"""
