"""Origins of web pages in settings."""

from urllib.parse import urlsplit


def validated_origin(value: str) -> str:
    """Return an origin as browsers send it.

    Raises:
        ValueError: it is not one.
    """
    parts = urlsplit(value)
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    is_plain = not parts.username and not set(origin) & set("*?[]()$^\\") and parts.port != 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or value.lower() != origin or not is_plain:
        raise ValueError("an origin is a scheme, a host and perhaps a port, such as `https://app.example.org:8443`")
    return origin
