"""What may be done to the registry. Each change is one transaction together with its audit row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from controllers.bundle import check_same_street, trust
from controllers.registry import keys
from controllers.registry.change import Author, Change
from controllers.registry.database import away, reading, writing
from controllers.registry.tables import (
    OVERRIDES,
    RELEASE,
    ROLES,
    STAGES,
    WITHDRAWN,
    Audit,
    Base,
    Decision,
    Deployment,
    Event,
    Key,
    Override,
    Revocation,
    StoredBundle,
)
from signals.bundle import Bundle, open_bundle
from signals.errors import InputError, RegistryError, UnknownNameError

_Row = TypeVar("_Row", bound=Base)


class Registry:
    """The registry of one city.

    Args:
        engine: Of a database that `controllers.registry.database.check` accepts.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # What is there

    def version(self) -> int:
        """Number of the last change."""
        with reading(self.engine) as connection:
            return int(connection.scalar(select(func.coalesce(func.max(Audit.id), 0))) or 0)

    def bundles(self, junction: str | None = None) -> Sequence[StoredBundle]:
        """All bundles, the newest last."""
        query = select(StoredBundle).order_by(StoredBundle.at_ms, StoredBundle.hash)
        return self._all(query.where(StoredBundle.junction == junction) if junction else query)

    def bundle(self, name: str) -> StoredBundle:
        """The bundle whose hash begins so, or the newest of that name.

        Raises:
            UnknownNameError: There is none.
        """
        exact = self._all(select(StoredBundle).where(StoredBundle.hash == name))
        if exact:
            return exact[0]
        order = (StoredBundle.at_ms, StoredBundle.hash)
        query = select(StoredBundle.hash, StoredBundle.name).order_by(*order)
        with reading(self.engine) as connection:
            known = [(str(hash_), str(given)) for hash_, given in connection.execute(query)]
        return self.bundle(_chosen(name, known))

    def opened(self, name: str, trusted: Iterable[str]) -> Bundle:
        """A bundle, verified anew: the database is not trusted.

        Raises:
            BundleError: Changed, or signed by nobody we trust.
            UnknownNameError: There is none.
        """
        row = self.bundle(name)
        path = Path(f"{row.name} ({row.hash[:12]}, registry)")
        bundle = trust(open_bundle(row.content, path), path, trusted)
        if bundle.hash != row.hash:
            raise RegistryError(f"the registry keeps bundle {bundle.hash} under {row.hash}")
        return bundle

    def deployments(self) -> dict[str, Deployment]:
        """What holds at each junction."""
        return {row.junction: row for row in self._all(_last(Deployment))}

    def history(self, junction: str) -> Sequence[Deployment]:
        """All deployments of a junction, the newest last."""
        query = select(Deployment).where(Deployment.junction == junction)
        return self._all(query.order_by(Deployment.number))

    def overrides(self) -> dict[str, Override]:
        """The last override of each junction, released and expired ones included."""
        return {row.junction: row for row in self._all(_last(Override))}

    def override_at(self, junction: str, at_ms: int) -> Override | None:
        """The override that comes before the policy at that time, if there is one."""
        query = select(Override).where(Override.junction == junction)
        rows = self._all(query.order_by(Override.number.desc()).limit(1))
        return rows[0] if rows and rows[0].holds(at_ms) else None

    def keys(self) -> dict[str, keys.KnownKey]:
        """The keys that are valid now."""
        revoked = select(Revocation.key_id)
        return {
            row.id: keys.KnownKey(
                keys.Holder(row.id, row.holder, row.role, frozenset(json.loads(row.junctions))),
                bytes.fromhex(row.salt),
                bytes.fromhex(row.digest),
            )
            for row in self._all(select(Key).where(Key.id.not_in(revoked)))
        }

    def key_rows(self) -> tuple[Sequence[Key], frozenset[str]]:
        """All keys ever made, and the ids of the revoked ones."""
        found = self._all(select(Key).order_by(Key.at_ms, Key.id))
        return found, frozenset(row.key_id for row in self._all(select(Revocation)))

    def audit(self, after: int = 0, limit: int = 1000) -> Sequence[Audit]:
        """Changes after the one of that number, the oldest first."""
        return self._all(select(Audit).where(Audit.id > after).order_by(Audit.id).limit(limit))

    def decisions(
        self, junction: str, since_ms: int = 0, limit: int = 1000, newest: bool = True
    ) -> Sequence[Decision]:
        """Decisions of a junction, in the order of time.

        Args:
            junction: Its id.
            since_ms: None before this.
            limit: At most so many.
            newest: When there are more, the newest instead of the oldest.
        """
        order = (
            (Decision.at_ms.desc(), Decision.id.desc())
            if newest
            else (Decision.at_ms.asc(), Decision.id.asc())
        )
        query = select(Decision).where(Decision.junction == junction, Decision.at_ms >= since_ms)
        found = self._all(query.order_by(*order).limit(limit))
        return found[::-1] if newest else found

    def events(
        self, junction: str, since_ms: int = 0, until_ms: int = 1 << 62, limit: int = 10_000
    ) -> Sequence[Event]:
        """Events of a junction, in the order of time."""
        query = select(Event).where(
            Event.junction == junction, Event.at_ms >= since_ms, Event.at_ms < until_ms
        )
        return self._all(query.order_by(Event.at_ms, Event.event).limit(limit))

    # What may be changed

    def add_bundle(self, path: Path, trusted: Iterable[str], by: Author) -> StoredBundle:
        """Keep a bundle.

        Raises:
            BundleError: Damaged, changed, or signed by nobody we trust.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read bundle {path}: {error.strerror or error}") from error
        bundle = trust(open_bundle(content, path), path, trusted)
        contract = bundle.contract
        row = StoredBundle(
            hash=bundle.hash,
            name=contract.name,
            junction=contract.junction.id,
            spec_hash=contract.spec_hash,
            public_key=bundle.public_key,
            content=content,
        )
        with self._change() as change:
            known = change.session.get(StoredBundle, row.hash)
            if known is not None:
                return known
            change.add(row, by, "bundle added", row.hash, {"name": row.name})
        return row

    def deploy(
        self,
        bundle: Bundle,
        stage: str,
        by: Author,
        options: Mapping[str, Any] | None = None,
        new_street: bool = False,
        only_after: int | None = None,
    ) -> Deployment:
        """Let a bundle serve its junction.

        Args:
            bundle: Kept already, and trusted.
            stage: One of `STAGES`.
            by: Who and why.
            options: See `controllers.rollout.RolloutOptions`.
            new_street: Accept other phases or timing than those in service.
            only_after: Refuse unless the junction's last deployment has this id.

        Raises:
            ContractError: Another street than the one in service.
            RegistryError: Somebody else was faster, see ``only_after``.
        """
        if stage not in STAGES:
            raise UnknownNameError("stage", stage, STAGES)
        junction = bundle.contract.junction.id
        with self._change() as change:
            now = change.last(Deployment, junction)
            if only_after is not None and (now is None or now.id != only_after):
                raise RegistryError(f"the deployment of {junction} was changed meanwhile")
            if now is not None and now.bundle_hash and not new_street:
                known = change.session.get(StoredBundle, now.bundle_hash)
                if known is not None:
                    street = open_bundle(known.content, Path(known.name)).contract
                    check_same_street(street, bundle.contract)
            return change.deploy(junction, now, bundle.hash, stage, dict(options or {}), by)

    def restage(
        self, junction: str, stage: str, by: Author, only_after: int | None = None
    ) -> Deployment | None:
        """The present bundle on another stage, its other options as they are.

        Args:
            junction: Which.
            stage: One of `STAGES`.
            by: Who and why.
            only_after: Do nothing unless the last deployment has this id.

        Returns:
            The new deployment, None when somebody else was faster.
        """
        with self._change() as change:
            now = change.last(Deployment, junction)
            if now is None:
                raise InputError(f"nothing is deployed at junction {junction}")
            if only_after is not None and now.id != only_after:
                return None
            options = json.loads(now.options)
            options.pop("rollback", None)
            return change.deploy(junction, now, now.bundle_hash, stage, options, by)

    def rollback(self, junction: str, by: Author) -> Deployment:
        """One step back: to the deployment before this one, or to none.

        Raises:
            InputError: Nothing was ever deployed there.
        """
        with self._change() as change:
            query = select(Deployment).where(Deployment.junction == junction)
            rows = change.session.scalars(query.order_by(Deployment.number)).all()
            if not rows:
                raise InputError(f"nothing was ever deployed at junction {junction}")
            stack: list[Deployment] = []
            for row in rows:
                if "rollback" in json.loads(row.options):
                    if stack:
                        stack.pop()
                else:
                    stack.append(row)
            before = stack[-2] if len(stack) > 1 else None
            options = {} if before is None else json.loads(before.options)
            return change.deploy(
                junction,
                rows[-1],
                None if before is None else before.bundle_hash,
                WITHDRAWN if before is None else before.stage,
                {**options, "rollback": rows[-1].number},
                by,
            )

    def override(
        self,
        junction: str,
        kind: str,
        by: Author,
        phase: int | None = None,
        until_ms: int | None = None,
    ) -> Override:
        """An operator's word over the policy's, see `OVERRIDES`.

        Raises:
            InputError: Nothing is deployed there, or the phase does not go with the kind.
        """
        if kind not in OVERRIDES:
            raise UnknownNameError("override", kind, OVERRIDES)
        if (phase is None) == (kind in ("hold", "apply")):
            raise InputError(f"override '{kind}' and phase {phase} do not go together")
        with self._change() as change:
            deployed = change.last(Deployment, junction)
            if deployed is None:
                names = [row for row in change.session.scalars(select(Deployment.junction))]
                raise UnknownNameError("junction", junction, set(names))
            if phase is not None:
                kept = change.session.get(StoredBundle, deployed.bundle_hash or "")
                if kept is None:
                    raise InputError(f"junction {junction} has no bundle that could hold a phase")
                phases = open_bundle(kept.content, Path(kept.name)).contract.junction.phases
                if not 0 <= phase < len(phases):
                    raise InputError(
                        f"phase {phase} is none of junction {junction}; allowed: 0 to "
                        f"{len(phases) - 1}"
                    )
            now = change.last(Override, junction)
            row = Override(
                junction=junction,
                number=1 if now is None else now.number + 1,
                kind=kind,
                phase=phase,
                until_ms=until_ms,
            )
            what = kind if kind == RELEASE else "override"
            change.add(row, by, what, junction, {"kind": kind, "phase": phase})
        return row

    def add_key(
        self, holder: str, role: str, by: Author, junctions: Iterable[str] = ()
    ) -> tuple[str, str]:
        """Make a key.

        Returns:
            The key, shown this once, and its id.

        Raises:
            InputError: A controller without junctions, a person with some, or no such role.
        """
        if role not in ROLES:
            raise UnknownNameError("role", role, ROLES)
        names = sorted(set(junctions))
        if (role == "controller") != bool(names):
            raise InputError(
                f"a controller's key names its junctions (or '{keys.ANY}'), a person's none; "
                f"given: role {role}, junctions {', '.join(names) or 'none'}"
            )
        if not holder.strip() or len(holder) > 100:
            raise InputError("give the holder's name, 1 to 100 characters")
        key, key_id, salt, digest = keys.make()
        row = Key(
            id=key_id,
            holder=holder,
            role=role,
            junctions=json.dumps(names),
            salt=salt,
            digest=digest,
        )
        with self._change() as change:
            detail = {"holder": holder, "role": role, "junctions": names}
            change.add(row, by, "key added", key_id, detail)
        return key, key_id

    def revoke_key(self, key_id: str, by: Author) -> None:
        """End a key.

        Raises:
            UnknownNameError: There is none of that id.
        """
        with self._change() as change:
            if change.session.get(Key, key_id) is None:
                raise UnknownNameError("key", key_id, change.session.scalars(select(Key.id)).all())
            if change.session.get(Revocation, key_id) is None:
                change.add(Revocation(key_id=key_id), by, "key revoked", key_id, {})

    def note(self, what: str, about: str, by: Author, detail: Mapping[str, Any]) -> None:
        """Keep an audit row for something that has no table of its own."""
        with self._change() as change:
            change.audit(what, about, by, detail)

    @contextmanager
    def _change(self) -> Iterator[Change]:
        with writing(self.engine) as connection:
            with Session(connection, expire_on_commit=False) as session:
                yield Change(session)
                session.flush()
                session.expunge_all()

    def _all(self, query: Select[_Row]) -> Sequence[_Row]:
        with reading(self.engine) as connection, Session(connection) as session:
            try:
                found = session.scalars(query).all()
            except SQLAlchemyError as error:
                raise away(self.engine, error) from error
            session.expunge_all()
            return found


def _last(table: type[_Row]) -> Select[_Row]:
    """The row with the highest number of each junction."""
    columns = table.__table__.columns
    newest = (
        select(columns["junction"], func.max(columns["number"]).label("number"))
        .group_by(columns["junction"])
        .subquery()
    )
    return select(table).join(
        newest,
        (columns["junction"] == newest.c.junction) & (columns["number"] == newest.c.number),
    )


def _chosen(name: str, known: Sequence[tuple[str, str]]) -> str:
    """The hash of the last bundle that a name or the beginning of a hash stands for."""
    found = [hash_ for hash_, given in known if given == name] or [
        hash_ for hash_, _ in known if len(name) >= 6 and hash_.startswith(name)
    ]
    if not found:
        raise UnknownNameError("bundle", name, {f"{given} {hash_[:12]}" for hash_, given in known})
    return found[-1]
