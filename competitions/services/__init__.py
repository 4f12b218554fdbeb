"""The only writers of competitions, rounds, events and audit; what they cannot do they say in a ControlError."""
