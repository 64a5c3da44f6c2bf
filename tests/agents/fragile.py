"""Tasks whose workers die; it imports little, so that workers start fast."""

import os
import signal
from dataclasses import dataclass

from signals.errors import InputError


@dataclass
class Fragile:
    """A task whose worker dies the first ``times`` times."""

    folder: str
    times: int
    name: str = "a fragile task"


def survive(one):
    tries = len(os.listdir(one.folder))
    if tries < one.times:
        open(os.path.join(one.folder, str(tries)), "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return f"done after {tries}"


def refuse(_):
    raise InputError("bad; give a good one")
