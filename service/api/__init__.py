"""The REST API: thin routes, one blueprint for each resource. The store decides."""

PREFIX = "/api/v1"
