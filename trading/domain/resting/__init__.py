"""Orders and exits that wait: what they are refused for, when they act, and at which price."""
