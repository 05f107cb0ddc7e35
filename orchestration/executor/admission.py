"""Who a guarded node runs for: asked when an execution starts, before each run, and of whoever changes what it does.

What is asked is always the person as they are now; the evidence of their second factor is the principal's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from django.utils.translation import gettext as _

from orchestration import models
from orchestration.engine.admission import guarded_from, sure
from orchestration.engine.durations import spell
from orchestration.engine.graph import Graph, NodeSpec
from orchestration.engine.permissions import Permissions
from orchestration.engine.states import NodeStatus
from orchestration.store import clock
from orchestration.store.versions import graph_of
from security import audit, mfa
from security.errors import PERMISSION_DENIED, STEP_UP_REQUIRED, Denied
from security.models import AuditRecord
from security.objects import Resource
from security.principals import Principal

NODE_RUN = "node.run"


def may_run(node: NodeSpec, principal: Principal, now: dt.datetime) -> str:
    """Return why the node may not run for the principal; "" when it may."""
    return _not_admitted(node, principal) or _not_verified(node, principal, now)


def check_start(graph: Graph, principal: Principal) -> None:
    """Raise Denied where an execution would come to a node that fails for the principal."""
    _check(_failing(graph), principal, Resource("orchestration.workflow", "", graph.name))


def why_not_start(graph: Graph, principal: Principal) -> str:
    """Return why an execution would fail for the principal at a node that it is sure to come to; "" when none does."""
    nodes = _failing(graph)
    now = clock.now() if nodes else None
    reasons = (may_run(node, principal, now) for node in nodes if now is not None)
    return next((reason for reason in reasons if reason), "")


def _failing(graph: Graph) -> list[NodeSpec]:
    nodes = [node for node in graph.guarded if not _permissions(node).waits]
    certain = sure(graph) if nodes else frozenset[str]()
    return [node for node in nodes if node.id in certain]


def check_change(execution: models.Execution, node: str | None, principal: Principal) -> None:
    """Raise Denied unless every guarded node that an act makes run anew, or otherwise, would run for the principal.

    `node` is the one acted on; None for all that failed.
    """
    graph = graph_of(execution.version_id)
    if not graph.guarded:
        return
    nodes = [node] if node is not None else _not_done(execution, graph.guarded)
    # The shell has no second factor, and is the system.
    _check(guarded_from(graph, nodes), principal, _resource(execution), shell=principal.kind == "system")


def check_release(wait: models.Wait, principal: Principal) -> None:
    """Raise Denied unless the node that waits would run for the principal, whose second factor is fresh if need be."""
    node = graph_of(wait.execution.version_id).nodes[wait.node_run.node]
    _check([node], principal, _resource(wait.execution), shell=False)


def _resource(execution: models.Execution) -> Resource:
    return Resource("orchestration.execution", str(execution.pk), execution.workflow.name)


def _not_done(execution: models.Execution, nodes: Collection[NodeSpec]) -> list[str]:
    rows = models.NodeRun.objects.filter(execution=execution, superseded=False, status=NodeStatus.SUCCEEDED)
    done = set(rows.filter(node__in=[node.id for node in nodes]).values_list("node", flat=True))
    return [node.id for node in nodes if node.id not in done]


def _check(
    nodes: Sequence[NodeSpec], principal: Principal, resource: Resource, *, shell: bool = False
) -> None:
    now = clock.now() if nodes else None
    for node in nodes:
        assert now is not None
        lacks = _not_admitted(node, principal)
        late = "" if lacks or shell else _not_verified(node, principal, now)
        if reason := lacks or late:
            about = {"node": node.id, "reason": reason}
            audit.record(principal, NODE_RUN, resource, AuditRecord.Outcome.DENIED, about)
            raise Denied(reason, PERMISSION_DENIED if lacks else STEP_UP_REQUIRED)


def _permissions(node: NodeSpec) -> Permissions:
    assert node.permissions is not None
    return node.permissions


def _not_admitted(node: NodeSpec, principal: Principal) -> str:
    permissions = _permissions(node)
    if principal.kind == "system":
        return ""
    person = principal.person()
    said = {"who": principal.name, "node": node.id, "whom": whom(permissions)}
    if person is None or not person.is_active:
        return _("“%(node)s” does not run for %(who)s, whose account is gone or not active.") % said
    roles = person.groups.values_list("name", flat=True) if permissions.required_roles else ()
    if permissions.admits(person.get_username(), list(roles)):
        return ""
    return _("“%(node)s” does not run for %(who)s: it asks for %(whom)s.") % said


def _not_verified(node: NodeSpec, principal: Principal, now: dt.datetime) -> str:
    permissions = _permissions(node)
    age = dt.timedelta(seconds=permissions.mfa_max_age)
    if not permissions.require_mfa or mfa.has_evidence(principal, age, now):
        return ""
    said = {"who": principal.name, "node": node.id, "age": spell(permissions.mfa_max_age)}
    return _("“%(node)s” asks for a second factor of %(who)s that is not older than %(age)s.") % said


def whom(permissions: Permissions) -> str:
    """Return the roles and users that a node asks for, in words."""
    names = []
    if permissions.required_roles:
        names.append(_("the role %(names)s") % {"names": _(" or ").join(permissions.required_roles)})
    if permissions.allowed_users:
        names.append(_(" or ").join(permissions.allowed_users))
    return _(" or ").join(names) or _("anybody")
