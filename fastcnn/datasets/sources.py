"""Where the files of data sets lie and come from.

data_folder  the folder that FASTCNN_DATA names, or the user's cache
fetch        downloads one file into it, from the first mirror that has it whole
malformed    the error for a file that is there but damaged
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def data_folder() -> Path:
    """The folder of data sets: the one that the environment variable FASTCNN_DATA names, or one in the user's cache.

    Laid out as `mnist/*-ubyte.gz` (or unpacked, without `.gz`) and `cifar-10-batches-bin/*.bin`. It need not exist.
    """
    named = os.environ.get("FASTCNN_DATA")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("fastcnn"))


def fetch(path: Path, urls: Sequence[str], sha256: str) -> None:
    """Download `path` from the first of `urls` that gives a file with this SHA-256 checksum, in hexadecimal.

    The file appears under its name when it is complete and checked, and not before. A download that is already there,
    complete, is kept. Shows a progress bar where standard error is a terminal.

    Raises ConnectionError, with each mirror's reason, where none gives the file; OSError where it cannot be written.
    """
    import pooch
    from requests import RequestException

    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in urls:
        try:
            pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=_download)
            return
        except (RequestException, ValueError) as error:  # ValueError: pooch's word for a wrong checksum
            reasons.append(f"  {url}: {error}")
        except OSError as error:
            code = error.errno or errno.EACCES  # pooch's own word, without a number, is for a folder that is read-only
            raise OSError(code, f"{os.strerror(code)}; nothing was kept of the download", str(path)) from error
    raise ConnectionError(
        f"could not download {path.name}:\n" + "\n".join(reasons) + f"\nTry again later, or put a copy at {path} "
        "(the environment variable FASTCNN_DATA names the folder of data sets)"
    )


def malformed(path: Path, expected: str, got: str) -> ValueError:
    """The error for a data file that is not what it should be, to be raised by the caller."""
    return ValueError(
        f"{path}: expected {expected}, got {got}; the file is damaged or another one: put a good copy in its place "
        "(or remove it, and it is downloaded)"
    )


def _download(url: str, output_file: Any, pooch_instance: Any) -> None:
    import pooch
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = _Bar(progress)
        pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16)(url, output_file, pooch_instance)


class _Bar:
    """rich's progress bar under the names that pooch uses: it sets `total` once the server has said it."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("download", total=None)
        self.total = 0

    def update(self, received: int) -> None:
        self._progress.update(self._task, advance=received, total=self.total or None)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop()
