"""What the services refuse, in words for the person who asked."""

from __future__ import annotations


class ControlError(Exception):
    """An act that is not possible now; the message says what was found and what is wanted."""


class TooOften(Exception):
    """An act that was done too often or is under way already; ``retry_after`` is in how many seconds it may be tried again."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ContractChanged(ControlError):
    """A start under a contract that is another than the one that was confirmed."""


class InvalidWish(Exception):
    """A wish that cannot be meant; ``field`` is where it was said, the message what was found and what is wanted."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
