from __future__ import annotations

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0003_provider_uuid_filled")]

    operations = [
        migrations.AlterField(
            model_name="provider",
            name="uuid",
            field=models.UUIDField(
                default=uuid.uuid4,
                editable=False,
                help_text="What the stored key is bound to.",
                unique=True,
            ),
        ),
    ]
