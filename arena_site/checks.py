"""System checks of the arena: what is set up wrong is told at the start."""

from __future__ import annotations
