"""Dockerfiles to images: parse → instructions → plan → solve, a cache that explains itself, and the classic builder on top.

The pure half (parse, shell, glob, ignore, instructions, plan, state) knows the language; the other half (context, copy,
cache, steps, solve) does the work. How a RUN is executed is somebody else's: see `needs.StepRunner`.
"""
