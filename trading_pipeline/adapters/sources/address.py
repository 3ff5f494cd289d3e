"""Addresses of venues that a user gives: keys travel to them, so not every one will do."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def secure_address(url: str) -> str:
    """The address without a slash at its end: https, or http on this machine.

    Raises:
        ValueError: keys would travel in clear, or it is no address of a venue. What is refused is
            not repeated: it may hold a password.
    """
    parts = _parts_of(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address is written like 'https://data.example.com'")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address has no user name, password, query or fragment")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise ValueError("http would send keys and bars in clear; use https")
    return url.rstrip("/")


def _parts_of(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is looked at only now
    except ValueError:
        return None
    return parts


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
