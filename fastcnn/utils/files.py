"""Files that are complete or absent: `write_atomically` replaces an old file by a whole new one, or changes nothing."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

Content = bytes | Callable[[BinaryIO], object]


def write_atomically(path: str | os.PathLike[str], content: Content) -> None:
    """Write a file so that every reader, at every moment, sees the whole old content or the whole new one.

    `content` is the bytes, or a function that writes them to the binary stream that it is given. They go to a temporary
    file in the same folder, are flushed to the disk, and take the name `path` in one step. Where `path` is a symbolic
    link, the file that it points to is replaced. The folder must exist.

    Raises OSError (of the kind that the system gives: PermissionError, FileNotFoundError, ...), naming `path`, where
    the file cannot be written or the disk is full. Then, and whatever else `content` raises, what was there before is
    unchanged and the temporary file is gone.
    """
    target = Path(path).resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_durably(temporary, content)
        os.replace(temporary, target)
    except BaseException as error:
        _remove(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            reason = f"{error.strerror}; could not write this file, and what was there before is unchanged"
            raise OSError(error.errno, reason, str(path)) from error
        raise


def _write_durably(path: Path, content: Content) -> None:
    with open(path, "xb") as stream:
        if callable(content):
            content(stream)
        else:
            stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _remove(temporary: Path) -> None:
    # An error here would hide the one that brought us here.
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
