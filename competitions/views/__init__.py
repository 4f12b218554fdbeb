"""The arena's pages, one module each."""

from __future__ import annotations
