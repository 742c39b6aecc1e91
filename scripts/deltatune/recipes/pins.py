"""The commit that a branch or a tag of the hub is now."""

from __future__ import annotations

import re

import httpx2
import huggingface_hub as hf
from huggingface_hub import errors

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt

_COMMIT = re.compile(r"[0-9a-f]{40}")


def commit_of(kind: str, id: str, revision: str) -> str:
    """kind: model or dataset. Raises UserError where the hub does not say, with its reason."""
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        api = hf.HfApi(library_name="deltatune")
        return api.resolve_revision(id, repo_type=kind, revision=revision).resolved
    except (
        errors.HfHubHTTPError,
        errors.HFValidationError,
        errors.OfflineModeIsEnabled,
        errors.LocalEntryNotFoundError,
        errors.RevisionResolutionError,
        httpx2.TransportError,
        OSError,
    ) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"the hub was not asked or gave none: {excerpt(reason[0])}") from None
