"""Hostile jobs whose memory in the child is compared with the estimate that their sender gets."""
