"""What accounts may do: each has one role, or none."""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """Roles from the least to the most; stored as the Django group of that name."""

    VIEWER = "viewer", "Viewer: sees private competitions too"
    OPERATOR = "operator", "Operator: sees everything; starts, pauses, stops and closes seasons"
    ADMINISTRATOR = "administrator", "Administrator: sets everything up"


# The permission to start, pause, resume, stop and close out seasons.
CONTROL = "competitions.control_competition"
