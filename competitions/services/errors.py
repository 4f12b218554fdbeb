"""What the services refuse, in words for the person who asked."""

from __future__ import annotations


class ControlError(Exception):
    """An act that is not possible now; the message says what was found and what is wanted."""
