from __future__ import annotations

import uuid
from typing import Any

from django.db import migrations


def fill(apps: Any, schema_editor: Any) -> None:
    providers = apps.get_model("agents", "Provider").objects.using(schema_editor.connection.alias)
    for pk in providers.filter(uuid__isnull=True).values_list("pk", flat=True):
        providers.filter(pk=pk).update(uuid=uuid.uuid4())


class Migration(migrations.Migration):
    dependencies = [("agents", "0002_provider_key")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
