from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from controllers.bundle import trusted_keys
from controllers.registry.change import Author, now_ms
from controllers.registry.database import (
    check,
    migrate,
    newest_revision,
    open_engine,
    revision_of,
    where,
    writing,
)
from controllers.registry.keys import find
from controllers.registry.store import Registry
from controllers.registry.tables import KEPT, PRUNED, Base
from signals.bundle import Bundle, write_bundle
from signals.errors import (
    BundleError,
    ContractError,
    InputError,
    RegistryError,
    UnknownNameError,
)
from signals.signing import signing_key
from signals.timing import GroupTiming
from tests.controllers.registry.conftest import BY


def test_migrations_make_the_tables_that_the_code_uses(registry: Registry) -> None:
    found = inspect(registry.engine)
    for table in Base.metadata.sorted_tables:
        known = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
        wanted = {column.name: column.nullable for column in table.columns}
        assert known == wanted, table.name
    assert revision_of(registry.engine) == newest_revision()
    assert migrate(registry.engine) == newest_revision()


def test_a_database_that_is_no_registry_is_refused(tmp_path: Path) -> None:
    engine = open_engine(str(tmp_path / "new.db"))
    with pytest.raises(InputError, match="signals registry init"):
        check(engine)
    for address in ("mysql://x/y", "sqlite://", "nonsense://"):
        with pytest.raises(InputError):
            open_engine(address)
    hidden = open_engine("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in where(hidden)
    with pytest.raises(RegistryError) as error:
        check(hidden)
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("table", [*KEPT, *PRUNED])
def test_what_is_written_stays(table: str, registry: Registry, kept: Bundle) -> None:
    registry.deploy(kept, "shadow", BY)
    registry.override("B1", "local_plan", BY)
    _, key_id = registry.add_key("gateway", "controller", BY, ["B1"])
    registry.revoke_key(key_id, BY)
    columns = ", ".join(
        column.name for column in Base.metadata.tables[table].columns if column.name != "id"
    )
    if table in PRUNED:
        values = ", ".join(
            "1" if "CHAR" not in str(c.type) and "TEXT" not in str(c.type) else "'x'"
            for c in Base.metadata.tables[table].columns
            if c.name != "id"
        )
        extra = ("id, ", "'x', ") if table == "decisions" else ("", "")
        with writing(registry.engine) as connection:
            connection.execute(
                text(f"INSERT INTO {table} ({extra[0]}{columns}) VALUES ({extra[1]}{values})")
            )
    verbs = [f"UPDATE {table} SET at_ms = 0"]
    if table in KEPT:
        verbs.append(f"DELETE FROM {table}")
    for verb in verbs:
        with (
            pytest.raises(RegistryError, match="append-only"),
            writing(registry.engine) as connection,
        ):
            connection.execute(text(verb))


def test_deploying_rolling_back_and_stepping_back(registry: Registry, kept: Bundle) -> None:
    assert registry.deployments() == {}
    registry.deploy(kept, "shadow", BY, {"watch_s": 60})
    registry.restage("B1", "canary", BY)
    third = registry.restage("B1", "deploy", Author("kim", "ten good days"))
    assert third is not None and third.number == 3
    now = registry.deployments()["B1"]
    assert (now.stage, now.who, now.why) == ("deploy", "kim", "ten good days")
    assert now.options == '{"watch_s": 60}'
    assert registry.rollback("B1", BY).stage == "canary"
    assert registry.rollback("B1", BY).stage == "shadow"
    gone = registry.rollback("B1", BY)
    assert gone.stage == "withdrawn" and gone.bundle_hash is None
    registry.deploy(kept, "deploy", BY)
    # Two processes that see the same trouble step back once.
    acting = registry.deployments()["B1"]
    assert registry.restage("B1", "shadow", BY, only_after=acting.id) is not None
    assert registry.restage("B1", "shadow", BY, only_after=acting.id) is None
    with pytest.raises(RegistryError, match="changed meanwhile"):
        registry.deploy(kept, "deploy", BY, only_after=acting.id)
    with pytest.raises(InputError, match="ever deployed"):
        registry.rollback("Z9", BY)
    with pytest.raises(UnknownNameError):
        registry.deploy(kept, "everywhere", BY)
    told = [(row.what, row.object) for row in registry.audit()]
    assert told[0] == ("bundle added", kept.hash)
    assert [what for what, _ in told].count("rolled back") == 3
    assert registry.version() == len(told) == 9


def test_a_bundle_is_verified_on_the_way_in_and_out(
    registry: Registry, kept: Bundle, bundle_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="not trusted"):
        registry.add_bundle(bundle_file, (), BY)
    with pytest.raises(BundleError, match="not trusted"):
        registry.opened(kept.hash, ())
    data = bytearray(bundle_file.read_bytes())
    data[len(data) // 2] ^= 1
    forged = tmp_path / "forged.bundle"
    forged.write_bytes(data)
    with pytest.raises(BundleError):
        registry.add_bundle(forged, trusted_keys(), BY)
    with pytest.raises(InputError, match="cannot read"):
        registry.add_bundle(tmp_path / "none.bundle", trusted_keys(), BY)
    assert len(registry.bundles()) == 1
    # Somebody who can write to the database still cannot bring in another policy.
    with writing(registry.engine) as connection:
        connection.execute(
            text(
                "INSERT INTO bundles (hash, name, junction, spec_hash, public_key, content, at_ms,"
                " who, why) VALUES (:hash, 'x', 'B1', 'x', 'x', :content, 1, 'x', 'x')"
            ),
            {"hash": "f" * 64, "content": bytes(data)},
        )
    with pytest.raises(BundleError):
        registry.opened("f" * 64, trusted_keys())


def test_another_street_is_refused_unless_it_is_said_so(
    registry: Registry, kept: Bundle, policy: bytes, tmp_path: Path
) -> None:
    from tests.controllers.street import write_test_bundle

    registry.deploy(kept, "deploy", BY)
    junction = kept.contract.junction
    groups = dict(junction.timing.groups)
    name, row = next((k, v) for k, v in groups.items() if not k.endswith("ped"))
    groups[name] = GroupTiming(row.min_green_s + 1, row.clearance_s, row.all_red_s, row.max_red_s)
    timing = dataclasses.replace(junction.timing, groups=groups)
    other = dataclasses.replace(junction, timing=timing)
    file = tmp_path / "other.bundle"
    write_test_bundle(file, other, policy, "other")
    registry.add_bundle(file, trusted_keys(), BY)
    opened = registry.opened("other", trusted_keys())
    with pytest.raises(ContractError, match=f"another timing of {name}"):
        registry.deploy(opened, "shadow", BY)
    assert registry.deployments()["B1"].bundle_hash == kept.hash
    assert registry.deploy(opened, "shadow", BY, new_street=True).number == 2
    again = write_bundle(tmp_path / "same.bundle", kept.contract, kept.policy, signing_key())
    assert again.hash == kept.hash


def test_overrides(registry: Registry, kept: Bundle) -> None:
    with pytest.raises(UnknownNameError):
        registry.override("B1", "local_plan", BY)
    registry.deploy(kept, "deploy", BY)
    registry.override("B1", "hold", BY, phase=1, until_ms=now_ms() + 1000)
    assert registry.overrides()["B1"].phase == 1
    registry.override("B1", "release", BY)
    assert registry.overrides()["B1"].kind == "release"
    for kind, phase in (("hold", None), ("local_plan", 1), ("hold", 99), ("hold", -1)):
        with pytest.raises(InputError):
            registry.override("B1", kind, BY, phase=phase)


def test_keys_are_hashed_and_end(registry: Registry) -> None:
    key, key_id = registry.add_key("gateway 1", "controller", BY, ["B1", "B2"])
    _, other = registry.add_key("kim", "operator", BY)
    holder = find(key, registry.keys())
    assert holder is not None and holder.name == "gateway 1"
    assert holder.speaks_for("B1") and not holder.speaks_for("B3")
    rows, revoked = registry.key_rows()
    secret = key.split("_", 2)[2]
    for row in rows:
        assert secret not in str(vars(row))
    assert {row.id for row in rows} == {key_id, other} and not revoked
    for wrong in ("", "ssk", key[:-1], key + "x", key.replace("ssk_", "SSK_"), f"ssk_{other}_x"):
        assert find(wrong, registry.keys()) is None
    registry.revoke_key(key_id, BY)
    registry.revoke_key(key_id, BY)
    assert find(key, registry.keys()) is None
    for role, junctions in (("controller", []), ("viewer", ["B1"]), ("king", [])):
        with pytest.raises(InputError):
            registry.add_key("x", role, BY, junctions)
    with pytest.raises(UnknownNameError):
        registry.revoke_key("none", BY)


@pytest.mark.parametrize("who, why", [("", "x"), ("x", " "), ("x" * 101, "y"), ("x", "\x00")])
def test_nobody_changes_without_a_name_and_a_reason(who: str, why: str) -> None:
    with pytest.raises(InputError):
        Author(who, why)
