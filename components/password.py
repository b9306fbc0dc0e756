"""The passwords of Jenkins' administrator and the registry's user: generated once, and hashed."""

import base64
import hashlib
import secrets
from typing import Final

import bcrypt
import pulumi

from .settings.secret_fields import Secret, text_of

_RANDOM_BYTES: Final = 24
"""Of a generated password: 32 characters, all of them safe in a URL, a shell and a form."""

_JENKINS_COST: Final = 10
"""Rounds, as a power of two. Jenkins' own, and the one that its documentation shows: about 60 ms a guess."""

REGISTRY_COST: Final = 5
"""Rounds, as a power of two: what `htpasswd -B` makes by itself, about 2 ms. The registry computes them anew at every
request, and a push is a dozen of those: with 10, twenty builds at once wait for each other there. More would protect
little, for builds log in with the password itself, which a Secret beside them holds."""

_STANDARD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT: Final = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
"""bcrypt writes base64 with an alphabet of its own."""


def kept(name: str, given: Secret | None, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Return the password from the config or, where it has none, one that is generated once.

    name: of the Stash that keeps a generated one, encrypted, in the state.
    given: the config's.
    opts: the Stash's.

    Each run generates a new one, and the Stash returns its first. So a preview before the first update knows none.
    """
    if given is not None:
        return text_of(given)
    fresh = pulumi.Output.secret(secrets.token_urlsafe(_RANDOM_BYTES))
    first = pulumi.ResourceOptions(ignore_changes=["input"])
    stash = pulumi.Stash(name, input=fresh, opts=pulumi.ResourceOptions.merge(opts, first))
    return pulumi.Output.secret(stash.output)


def jbcrypt(password: str, *, realm: str) -> str:
    """Give the hash that Jenkins' local user database takes, with the promises and limits of `bcrypted`."""
    return f"#jbcrypt:{bcrypted(password, realm=f'jenkins-admin:{realm}', cost=_JENKINS_COST)}"


def bcrypted(password: str, *, realm: str, cost: int) -> str:
    """Give a password's bcrypt hash, the same for the same password and realm.

    password: at most 72 bytes in UTF-8; bcrypt takes no more, and raises ValueError.
    realm: names the one account that the hash is for, as purpose:project/stack/user.
    cost: rounds, as a power of two, 4 to 31.

    A random salt would show a change in every preview. This one is made from the realm, so two accounts with one
    password have different hashes. It is not made from the password: the salt stands in the hash for all to read, and a
    salt that can be computed from a guess would let the guess be tested without bcrypt's cost.
    """
    digest = hashlib.sha256(realm.encode()).digest()[:16]
    salt = base64.b64encode(digest).rstrip(b"=").translate(bytes.maketrans(_STANDARD, _BCRYPT))
    return bcrypt.hashpw(password.encode(), b"$2a$%02d$" % cost + salt).decode()
