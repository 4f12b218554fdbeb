"""What the season itself writes: only to be looked at."""

from __future__ import annotations

from django.contrib import admin

from competitions.models import AuditEvent, Event, Gap, Heartbeat, Lease, Leg, Round, Turn
from marketdata.admin_lists import LongList
from marketdata.admin_readonly import ReadOnlyAdmin


class LegInline(ReadOnlyAdmin, admin.TabularInline[Leg, Turn]):
    model = Leg
    fields = ("index", "verdict", "denial", "order", "instruction")
    raw_id_fields = ("order",)


@admin.register(Round)
class RoundAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Round]):
    list_display = ("competition", "number", "kind", "state", "slot_at", "has_data", "closed_at")
    list_filter = ("state", "kind", "has_data")
    list_select_related = ("competition",)
    search_fields = ("competition__slug", "digest")


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Turn]):
    list_display = ("turn_key", "participant_name", "state", "outcome", "reason", "settled_at")
    list_filter = ("outcome", "state")
    list_select_related = ("participant",)
    search_fields = ("turn_key", "participant__slug", "round__competition__slug")
    inlines = (LegInline,)

    @admin.display(description="participant", ordering="participant__name")
    def participant_name(self, row: Turn) -> str:
        return row.participant.name


@admin.register(Leg)
class LegAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Leg]):
    list_display = ("turn", "index", "verdict", "denial", "order")
    list_filter = ("verdict",)
    list_select_related = ("turn", "order")
    search_fields = ("turn__turn_key", "denial")


@admin.register(Gap)
class GapAdmin(ReadOnlyAdmin, admin.ModelAdmin[Gap]):
    list_display = ("competition", "from_at", "to_at", "missed_slots", "reason")
    list_select_related = ("competition",)
    search_fields = ("competition__slug", "reason")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Event]):
    list_display = ("competition", "seq", "kind", "at")
    list_filter = ("kind",)
    list_select_related = ("competition",)
    search_fields = ("competition__slug",)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[AuditEvent]):
    list_display = ("seq", "at", "actor", "action", "subject")
    search_fields = ("action", "subject", "actor", "hash")
    ordering = ("-seq",)


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin, admin.ModelAdmin[Lease]):
    list_display = ("name", "holder", "fence", "until")


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin, admin.ModelAdmin[Heartbeat]):
    list_display = ("name", "at", "note")
