"""One junction, its law and its worlds.

The street side needs neither SUMO nor torch: nothing is imported here but the standard library.
With Gymnasium installed, importing this package registers ``signals:Junction-v0``.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

try:
    __version__ = version("seoul-signals")
except PackageNotFoundError:
    __version__ = "0+unknown"


def _register() -> None:
    """Register the environments once; Gymnasium has no entry points of its own."""
    import gymnasium

    if "Junction-v0" not in gymnasium.registry:
        gymnasium.register(
            id="Junction-v0",
            entry_point="signals.envs.junction_env:JunctionEnv",
            order_enforce=False,
            disable_env_checker=True,
        )


if find_spec("gymnasium") is not None:
    _register()
