"""Secret claims: which secret the workers of a deployment pseudonymise with, without telling it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.fields import Short


class SecretClaim(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="secret-claims/1"
):
    """A worker's claim that a secret is the deployment's; the first in the topic holds, for ever."""

    fingerprint: Annotated[Short, Meta(description="scrypt hash of the secret, in hexadecimal digits.")]
