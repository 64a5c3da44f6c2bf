from __future__ import annotations

import io
from pathlib import Path

import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed (extra: dev)")

from controllers.bundle import trusted_keys
from controllers.registry.database import migrate, open_engine
from controllers.registry.store import Registry
from controllers.service.assembly import Settings, assembled
from controllers.service.server import make_logger
from tests.controllers.fuzzing import fuzz, wanted
from tests.controllers.street import listening
from tests.controllers.test_city import BY


@pytest.mark.filterwarnings("ignore")  # schemathesis' and its libraries' own
def test_no_call_breaks_the_service(bundle_file: Path, tmp_path: Path) -> None:
    engine = open_engine(str(tmp_path / "registry.db"))
    migrate(engine)
    registry = Registry(engine)
    row = registry.add_bundle(bundle_file, trusted_keys(), BY)
    opened = registry.opened(row.hash, trusted_keys())
    registry.deploy(opened, "deploy", BY)
    key, _ = registry.add_key("fuzzer", "admin", BY)
    log = io.StringIO()
    settings = Settings(
        registry=str(tmp_path / "registry.db"),
        spool=str(tmp_path / "spool"),
        trusted=tuple(trusted_keys()),
        calls_a_second=1e6,
    )
    with assembled(settings, make_logger(log)) as (service, app), listening(app) as url:

        def deployed() -> None:
            if registry.deployments()["B1"].stage != "deploy":
                registry.deploy(opened, "deploy", BY)
            if registry.overrides().get("B1") is not None:
                registry.override("B1", "release", BY)
            service.city.refresh()

        seen = fuzz(url, key, "B1", wanted(), deployed)
    engine.dispose()
    print(f"\n{seen.total()} calls: {dict(sorted(seen.items()))}")
    assert seen.total() >= wanted() and seen[200] and seen[422]
    assert not [status for status in seen if status >= 500]
    text = log.getvalue()
    assert "internal error" not in text and key.split("_", 2)[2] not in text
