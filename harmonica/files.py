"""Files that are either whole or absent. Imports no torch."""

import json
import os
import socket
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from harmonica.errors import BadInput


@contextmanager
def atomic(path):
    """Yield a temporary path beside `path`; on success it replaces `path`, on an error it is
    removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(
        f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp"
    )  # hosts share the folder
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, content):
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_json(path):
    """BadInput where the file is not whole JSON; FileNotFoundError where there is none."""
    try:
        return json.loads(Path(path).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"record: {path} is not a whole JSON file ({error}); delete it to have it made again"
        ) from None


def save_array(path, array):
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)
