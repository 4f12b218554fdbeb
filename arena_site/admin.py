"""What the admin shows of logins: attempts, and who came in; never a secret of a second factor."""

from __future__ import annotations

from axes.models import AccessAttempt, AccessLog
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from competitions.services.audit import record_act
from marketdata.admin_readonly import ReadOnlyAdmin

# A second factor is set up by its owner and taken away by manage.py reset_password; a form here
# could give a secret of one's own to somebody else's account.
admin.site.unregister([TOTPDevice, StaticDevice])


@admin.register(AccessAttempt)
class AccessAttemptAdmin(ReadOnlyAdmin, admin.ModelAdmin[AccessAttempt]):
    """Wrong logins of the last quarter of an hour; lifting a lockout deletes those of a name."""

    list_display = ("username", "ip_address", "failures_since_start", "attempt_time", "path_info")
    search_fields = ("username", "ip_address")
    # What was posted is masked, and of no use.
    fields = ("username", "ip_address", "failures_since_start", "attempt_time", "user_agent")
    actions = ("lift",)

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")

    @admin.action(description="Lift the lockout of the name", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[AccessAttempt]) -> None:
        actor, now = request.user.get_username(), timezone.now()
        named = queryset.exclude(username=None)
        for name in sorted(set(named.values_list("username", flat=True))):
            AccessAttempt.objects.filter(username=name).delete()
            record_act("lockout lifted", name, actor=actor, now=now)
            messages.success(request, f"{name} may try again.")


@admin.register(AccessLog)
class AccessLogAdmin(ReadOnlyAdmin, admin.ModelAdmin[AccessLog]):
    """Who came in, when and from where."""

    list_display = ("username", "attempt_time", "logout_time", "ip_address", "path_info")
    search_fields = ("username", "ip_address")
    fields = ("username", "attempt_time", "logout_time", "ip_address", "user_agent")
    show_full_result_count = False
