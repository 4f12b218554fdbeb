"""Benchmarks: ``python -m bench`` runs all, ``python -m bench.answers`` one; ``--json`` tells the figures as JSON.

Each uses databases of its own and loopback alone, and ends by itself. See docs/performance.md.
"""
