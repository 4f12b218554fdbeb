"""What agents are told and what they answer: pure functions over plain values."""
