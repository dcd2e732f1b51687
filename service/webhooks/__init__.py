"""Sends what happened to jobs: as signed messages, to Slack, and by mail."""
