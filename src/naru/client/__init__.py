"""The client library: a blocking, typed client of any Docker Engine API daemon, made to start in a few milliseconds.

    from naru.client.engine import Client
    from naru.client.endpoint import resolve

    client = Client(resolve())
    for container in client.containers.list():
        print(container["Names"], container["State"])

Answers are the API's own JSON as plain dicts; failures are the kinds of `naru.errors`, the daemon's words in them.
Nothing here imports asyncio, http, json, re, typing or dataclasses: each costs the command line more than its request.
"""
