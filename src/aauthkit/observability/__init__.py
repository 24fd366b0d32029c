"""What operators see: the decision log, metrics, spans. Never part of a decision, and never a token, key or secret."""
