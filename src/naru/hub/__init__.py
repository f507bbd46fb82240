"""A hub: a registry for many people, with accounts, organisations, web pages and policies."""
