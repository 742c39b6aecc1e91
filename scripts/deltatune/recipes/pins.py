"""The commit that a branch or a tag of the hub is now."""

from __future__ import annotations

import re

import httpx2
import huggingface_hub as hf
from huggingface_hub import constants, errors

from deltatune.core.errors import UserError

_COMMIT = re.compile(r"[0-9a-f]{40}")


def commit_of(kind: str, id: str, revision: str) -> str:
    """kind: model or dataset. Raises UserError where the hub does not say, with its reason."""
    if _COMMIT.fullmatch(revision):
        return revision
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE forbids asking the hub")
    api = hf.HfApi(library_name="deltatune")
    try:
        look_up = api.model_info if kind == "model" else api.dataset_info
        return look_up(id, revision=revision, timeout=20).sha
    except errors.RevisionNotFoundError:
        raise UserError(f"the hub has no revision '{revision}' of it") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise UserError(f"the hub has no {kind} of this name that is visible") from None
    except (errors.HfHubHTTPError, httpx2.TransportError, OSError):
        raise UserError("the hub could not be reached") from None
