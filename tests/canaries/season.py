"""Makes a season full of secrets in the database of the environment: ``python -m tests.canaries.season URL``.

Prints as JSON what was planted besides the environment's own secrets.
"""

from __future__ import annotations

import json
import secrets
import sys
from datetime import timedelta

import django


def make(url: str) -> dict[str, str]:
    """Make accounts, keys and a running season whose models repeat the key they are asked with."""
    from django.contrib.auth.models import User
    from django.utils import timezone
    from django_otp.plugins.otp_totp.models import TOTPDevice

    from agents.models import Provider
    from competitions.models.competitions import ClockKind, FillRule
    from competitions.services.access import make_api_key
    from marketdata.secrets import Secret
    from tests.builders import (
        Model,
        baselines,
        make_model,
        make_season,
        make_synthetic_feed,
        start_season,
    )

    now = timezone.now()
    passwords = {name: f"canary-{name}-{secrets.token_hex(12)}" for name in ("root", "otto")}
    root = User.objects.create_superuser("root", "", passwords["root"])
    token = make_api_key(
        "canary", owner=root, scopes=["ADMIN"], actor="root", now=now - timedelta(minutes=2)
    ).token
    roster = [
        make_model(Model("parrot-a", "parrot-says", "anthropic"), url),
        make_model(Model("parrot-b", "parrot-says-b", "openai"), url),
        make_model(Model("parrot-c", "parrot-refuses", "anthropic"), url),
        make_model(Model("parrot-d", "parrot-refuses-d", "openai"), url),
        make_model(Model("faulty", "faulty-all", "openai", 3), url),
        *baselines("random", "cash"),
    ]
    Provider.objects.filter(slug="fake-anthropic").update(key_variable="ANTHROPIC_API_KEY")
    # One key out of the environment, one stored.
    stored = f"canary-stored-{secrets.token_hex(16)}"
    own = Provider.objects.get(slug="fake-openai")
    own.key = Secret(stored)
    own.save()
    device = TOTPDevice.objects.create(
        user=User.objects.create_user("otto", password=passwords["otto"]), name="app"
    )
    start_season(
        make_season(
            "canary",
            make_synthetic_feed(),
            roster,
            clock=ClockKind.DATA,
            fill_rule=FillRule.SNAPSHOT,
            pace_seconds=1,
            deadline_seconds=10,
            max_rounds=None,
        )
    )
    return {
        "token": token,
        "password of root": passwords["root"],
        "password of otto": passwords["otto"],
        "stored key": stored,
        "second factor of otto": device.key,
    }


if __name__ == "__main__":
    django.setup()
    json.dump(make(sys.argv[1]), sys.stdout)
