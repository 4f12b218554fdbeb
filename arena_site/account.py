"""The operator's account of a fresh arena."""

from __future__ import annotations

import secrets

from django.contrib.auth import get_user_model
from django.db import transaction

OPERATOR = "operator"


@transaction.atomic
def ensure_operator() -> tuple[str, str | None]:
    """Return the name of a superuser, and the password if the account was made just now."""
    users = get_user_model().objects
    known = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if known is not None:
        return known.get_username(), None
    password = secrets.token_urlsafe(12)
    # A plain account of that name may exist: it is not made mightier behind its owner's back.
    name = OPERATOR
    while users.filter(username=name).exists():
        name = f"{OPERATOR}-{secrets.token_hex(2)}"
    users.create_superuser(username=name, email="", password=password)
    return name, password
