"""Who decides: providers, models, prompts."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from agents.domain.baselines import BASELINES
from agents.domain.prompts import TemplateText, check_template


class ProviderKind(models.TextChoices):
    ANTHROPIC = "ANTHROPIC", "Anthropic"
    OPENAI_COMPATIBLE = "OPENAI_COMPATIBLE", "OpenAI or compatible"
    BASELINE = "BASELINE", "Baseline (no model)"
    BOT = "BOT", "Python bot"


class ProviderQuerySet(models.QuerySet["Provider"]):
    """Providers that may be asked."""

    def enabled(self) -> ProviderQuerySet:
        return self.filter(is_enabled=True)


ProviderManager = models.Manager.from_queryset(ProviderQuerySet)


class Provider(models.Model):
    """An API that answers prompts; its key is read from the environment variable named here, never stored in the clear."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=20, choices=ProviderKind.choices)
    base_url = models.CharField(
        max_length=300, blank=True, help_text="Address of the API; empty for the provider's own."
    )
    key_variable = models.CharField(
        max_length=80,
        blank=True,
        validators=[
            RegexValidator(
                r"^[A-Z][A-Z0-9_]*$",
                "the name of an environment variable, for example OPENAI_API_KEY",
            )
        ],
        help_text="Environment variable that holds the key; empty when no key is needed.",
    )
    capabilities = models.JSONField(
        default=dict,
        blank=True,
        help_text='What requests may carry, for example {"temperature": true, "seed": true, "structured_output": "strict", "token_limit": "max_tokens"}.',
    )
    max_concurrency = models.PositiveSmallIntegerField(
        default=128, validators=[MinValueValidator(1)]
    )
    is_enabled = models.BooleanField(default=True)

    objects = ProviderManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=ProviderKind.values), name="provider_kind_known"
            )
        ]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """Refuse what no request could be made of."""
        if self.base_url and not self.base_url.startswith(("https://", "http://")):
            raise ValidationError(
                {"base_url": f"must start with https:// or http://, was {self.base_url[:60]!r}"}
            )
        if not isinstance(self.capabilities, dict):
            raise ValidationError(
                {"capabilities": f"must be a JSON object, was {type(self.capabilities).__name__}"}
            )

    @property
    def is_baseline(self) -> bool:
        return self.kind == ProviderKind.BASELINE


class PromptTemplate(models.Model):
    """One version of the texts that agents are sent; never edited once used (``locked_at`` set)."""

    slug = models.SlugField(max_length=40)
    version = models.PositiveSmallIntegerField(default=1)
    system = models.TextField(help_text="The rules of the game, the same for every participant.")
    market = models.TextField(
        help_text="The market part: rendered once a round, byte-identical for all."
    )
    account = models.TextField(help_text="The participant's own part.")
    created_at = models.DateTimeField(auto_now_add=True)
    locked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["slug", "version"], name="prompttemplate_one_per_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.slug} v{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the template, unless its row is locked: seasons have been played with its texts."""
        if self.pk and PromptTemplate.objects.filter(pk=self.pk, locked_at__isnull=False).exists():
            raise ValidationError(f"{self} has been used and cannot be changed, make a new version")
        super().save(*args, **kwargs)

    @property
    def is_locked(self) -> bool:
        return self.locked_at is not None

    def text(self) -> TemplateText:
        """Return the three texts as a value."""
        return TemplateText(self.system, self.market, self.account)

    def clean(self) -> None:
        """Refuse placeholders that could not be filled."""
        try:
            check_template(self.text())
        except ValueError as error:
            raise ValidationError(str(error)) from error


class AgentQuerySet(models.QuerySet["Agent"]):
    """Agents by what runs them."""

    def baselines(self) -> AgentQuerySet:
        return self.filter(provider__kind=ProviderKind.BASELINE)


AgentManager = models.Manager.from_queryset(AgentQuerySet)


class Agent(models.Model):
    """A model (or baseline) with its requested parameters and prompt; a competition freezes a copy at its start."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=80)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="agents")
    model = models.CharField(
        max_length=120, help_text="The provider's model id, or the baseline's name."
    )
    parameters = models.JSONField(
        default=dict,
        blank=True,
        help_text='As requested, for example {"temperature": "0.7", "max_tokens": 4096, "effort": "medium"}.',
    )
    template = models.ForeignKey(PromptTemplate, on_delete=models.PROTECT, related_name="agents")
    timeout_seconds = models.PositiveSmallIntegerField(
        default=45,
        validators=[MinValueValidator(1), MaxValueValidator(900)],
        help_text="One turn's time over all tries.",
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AgentManager()

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """Refuse a baseline that there is none of, and parameters that are no object."""
        if not isinstance(self.parameters, dict):
            raise ValidationError(
                {"parameters": f"must be a JSON object, was {type(self.parameters).__name__}"}
            )
        if self.provider_id and self.provider.is_baseline and self.model not in BASELINES:
            known = ", ".join(BASELINES)
            raise ValidationError({"model": f"must be one of {known}, was {self.model!r}"})
