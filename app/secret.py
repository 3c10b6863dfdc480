"""The secret that cursors are signed with: SPARROW_SECRET, or else a file in the data folder that all workers share."""

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from app.settings import Settings

log = logging.getLogger(__name__)

SECRET_BYTES = 32


def secret_of(settings: Settings) -> bytes:
    """The secret of this server. Where none can be kept it is this process's own, which is logged."""
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    path = settings.data / "secret"
    try:
        return _kept(path)
    except OSError as error:
        log.warning(
            "cursors of this process are of use to itself alone: %s cannot be read or made (%s); "
            "set SPARROW_SECRET, the same for all processes and hosts",
            path,
            error,
        )
        return secrets.token_bytes(SECRET_BYTES)


def _kept(path: Path) -> bytes:
    """What the file holds; made, whole or not at all, by the first process that asks."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"secret.{os.getpid()}.{secrets.token_hex(4)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:  # noqa: PTH123
            opened.write(secrets.token_bytes(SECRET_BYTES))
            opened.flush()
            os.fsync(opened.fileno())
        try:
            with suppress(FileExistsError):  # another process was faster: its secret is everybody's
                path.hardlink_to(draft)
        finally:
            draft.unlink()
    kept = path.read_bytes()
    if len(kept) != SECRET_BYTES:
        raise OSError(f"it holds {len(kept)} bytes, not {SECRET_BYTES}: remove it")
    return kept
