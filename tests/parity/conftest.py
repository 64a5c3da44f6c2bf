from tests.controllers.conftest import (  # noqa: F401
    bundle,
    bundle_file,
    junction,
    keys,
    policy,
    running,
    world,
)
