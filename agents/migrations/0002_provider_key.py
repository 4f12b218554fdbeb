from __future__ import annotations

from django.db import migrations, models

import marketdata.fields


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="provider",
            name="uuid",
            # Filled and made unique by the next two: a default would give all rows the same.
            field=models.UUIDField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="provider",
            name="key",
            field=marketdata.fields.EncryptedTextField(bound_to="uuid"),
        ),
    ]
