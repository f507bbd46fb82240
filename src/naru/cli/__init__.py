"""The `naru` command: Docker's verbs and words, for any Docker Engine API daemon.

Start-up is a feature: `naru ps` loads a dozen small modules and nothing of the standard library that takes longer than
they do (no argparse, re, json, socket, dataclasses, typing). Each group of verbs is a module, loaded when it is called;
`verbs.py` is the table, `grammar.py` reads a verb's flags from its help text, `main.py` ties them together.
"""
