"""Talking to registries: whom to ask (hosts), who we are (auth, tokens), one HTTP exchange (transport), images (client).

aiohttp's client is imported by `transport` alone, and `transport` on first use: a daemon that never pulls never loads it.
"""
