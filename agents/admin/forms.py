"""What the pages of agents and providers share."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

# The shipped rows lean on each other and are made together.
DEFAULTS_PERMISSIONS = ("agents.add_provider", "agents.add_prompttemplate", "agents.add_agent")


class JsonObjectField(forms.JSONField):
    """A JSON object as text; empty stands for the empty object, and a mistake is told with its place and an ``example``."""

    def __init__(self, *, example: str = '{"temperature": "0.7"}', **kwargs: Any) -> None:
        self.example = example
        super().__init__(**{"initial": dict, **kwargs})

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return {}
        found = _parse(value, self.example) if isinstance(value, str) else value
        if not isinstance(found, dict):
            raise ValidationError(f"must be a JSON object, was {type(found).__name__}")
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Show again what was entered, as it was entered."""
        return (
            InvalidJSONInput(data) if isinstance(data, str) else super().bound_data(data, initial)
        )


def _parse(text: str, example: str) -> Any:
    wanted = f"wanted an object such as {example}"
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValidationError(f"not JSON at {place}: {error.msg}; {wanted}") from None
    except (RecursionError, ValueError):
        raise ValidationError(f"nested too deep, or a number is too long; {wanted}") from None
