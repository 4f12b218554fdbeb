"""What the pages of agents and providers share."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

# The shipped rows lean on each other and are made together.
DEFAULTS_PERMISSIONS = ("agents.add_provider", "agents.add_prompttemplate", "agents.add_agent")


class JsonObjectField(forms.JSONField):
    """A JSON object as text; empty stands for the empty object, and a mistake is told with its place."""

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return {}
        try:
            return super().to_python(value)
        except ValidationError:
            raise ValidationError(_mistake_in(str(value))) from None


def _mistake_in(text: str) -> str:
    wanted = 'wanted an object such as {"temperature": "0.7"}'
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}; {wanted}"
    except RecursionError:
        return f"nested too deep; {wanted}"
    return f"not JSON; {wanted}"
