"""The whole job: its type, and how a request becomes it."""
