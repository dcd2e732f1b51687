"""JSON pointers (RFC 6901): how the name of a member or the index of an item becomes a token, and back."""


def escape(key: str | int) -> str:
    """Return the token for a key, without the slash in front of it."""
    return str(key).replace("~", "~0").replace("/", "~1")


def unescape(token: str) -> str:
    """Return the key that a token stands for."""
    return token.replace("~1", "/").replace("~0", "~")


def pointer_to(*keys: str | int) -> str:
    """Return the pointer that leads through these keys; an empty one is the whole document."""
    return "".join(f"/{escape(key)}" for key in keys)
