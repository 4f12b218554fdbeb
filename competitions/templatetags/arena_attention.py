"""What needs somebody, on the admin's front page."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils import timezone

from competitions.selectors.attention import attention
from competitions.selectors.roles import is_administrator

register = template.Library()


@register.inclusion_tag("admin/_attention.html", takes_context=True)
def needs_attention(context: dict[str, Any]) -> dict[str, Any]:
    """Show what the account that looks can do something about, and the steps to a first season."""
    found = attention(now=timezone.now())
    may_set_up = is_administrator(context["request"].user)
    return {
        "concerns": [
            concern for concern in found.concerns if may_set_up or not concern.is_for_administrators
        ],
        "steps": found.steps if may_set_up else (),
    }
