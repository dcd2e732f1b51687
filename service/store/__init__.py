"""The only SQL of FitQueue. Each function takes a session and does one thing; the caller decides when to commit."""
