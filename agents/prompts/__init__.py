"""Prompt templates that are shipped with the arena, one module each."""
