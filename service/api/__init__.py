"""The REST API: thin routes, a blueprint a resource. The store decides."""

PREFIX = "/api/v1"
