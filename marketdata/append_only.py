"""Rows that may never change: triggers in the database say so, not Python.

A model opts in with ``append_only = True``. PostgreSQL refuses UPDATE and DELETE (a DELETE passes only inside a transaction that
called :func:`allow_deletes`, which one service uses to remove a season whole); SQLite refuses UPDATE.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import AppConfig
from django.db import connections, models

_PG_FUNCTION = """
CREATE OR REPLACE FUNCTION arena_append_only() RETURNS trigger AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('arena.allow_deletes', true) = 'on' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'rows of % are append-only, % refused', TG_TABLE_NAME, TG_OP;
END;
$$ LANGUAGE plpgsql
"""


def append_only_models(app_config: AppConfig) -> Iterator[type[models.Model]]:
    """Yield the app's models whose rows may never change."""
    for model in app_config.get_models():
        if getattr(model, "append_only", False):
            yield model


def trigger_name(model: type[models.Model]) -> str:
    return f"{model._meta.db_table}_append_only"


def install_triggers(sender: AppConfig, using: str = "default", **kwargs: Any) -> None:
    """Create the triggers of ``sender``'s append-only models; connected to ``post_migrate``, since re-making a table loses them."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for model in append_only_models(sender):
            if model._meta.db_table not in tables:
                continue
            for statement in _statements(
                connection.vendor, model._meta.db_table, trigger_name(model)
            ):
                cursor.execute(statement)


def _statements(vendor: str, table: str, name: str) -> list[str]:
    if vendor == "postgresql":
        return [
            _PG_FUNCTION,
            f'DROP TRIGGER IF EXISTS "{name}" ON "{table}"',
            f'CREATE TRIGGER "{name}" BEFORE UPDATE OR DELETE ON "{table}" FOR EACH ROW EXECUTE FUNCTION arena_append_only()',
        ]
    return [
        f'CREATE TRIGGER IF NOT EXISTS "{name}" BEFORE UPDATE ON "{table}" '
        f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are append-only, UPDATE refused'); END"
    ]


def allow_deletes(using: str = "default") -> None:
    """Let this transaction delete append-only rows; nothing to do on SQLite."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL arena.allow_deletes = 'on'")
