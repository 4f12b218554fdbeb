"""Members of staff could act on seasons before there were roles, and still can."""

from django.db import migrations


def give_role(apps, schema_editor):
    User, Group = apps.get_model("auth", "User"), apps.get_model("auth", "Group")
    staff = User.objects.filter(is_staff=True, is_superuser=False)
    if staff.exists():
        operators, _ = Group.objects.get_or_create(name="operator")
        operators.user_set.add(*staff)


class Migration(migrations.Migration):
    dependencies = [
        ("competitions", "0004_roles_and_owners"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(give_role, migrations.RunPython.noop)]
