"""Talking to registries: whom to ask (hosts), who we are (auth, tokens), one HTTP exchange (transport), images (client);
and fetching what a URL holds (fetch).

aiohttp's client is imported by `transport` and `download` alone, and these on first use: a daemon that never pulls never loads it.
"""
