"""Who may do what, by every way in: the table that tests/security/test_access.py holds the product to.

A row is "METHOD name": what one must be able to do. A new URL, socket or command without a row fails the tests.
"""

PUBLIC = "public"  # everybody, nobody known included
SECRETS = "change secrets"
PEOPLE = "see people"
MANAGE = "manage people"
OTHERS = "others"  # what somebody else has asked for: a bulk act
OPEN = "open"  # every active person; what they see in it is narrowed
VIEW, RUN, CONTROL, APPROVE = "view", "run", "control", "approve"
EMIT, STATE, CHANGE_STATE, WORKERS, EVENTS, AUDIT = (
    "emit",
    "state",
    "change state",
    "workers",
    "events",
    "audit",
)

_SEES = {OPEN, VIEW, STATE, WORKERS, EVENTS}
ROLES: dict[str, set[str]] = {
    "anonymous": set(),
    "deactivated": set(),
    "nobody": {OPEN},
    "staff": {OPEN},  # the admin's door alone gives nothing
    "viewer": _SEES,
    "operator": _SEES | {RUN, CONTROL, APPROVE, EMIT, CHANGE_STATE},
    "approver": _SEES | {APPROVE},
    "auditor": _SEES | {AUDIT, PEOPLE},
    "admin": _SEES | {PEOPLE, MANAGE, SECRETS, OTHERS, RUN, CONTROL, APPROVE, EMIT, CHANGE_STATE, AUDIT},
}

CONSOLE = {
    "GET home": OPEN,
    "GET attention": OPEN,
    "GET approvals": OPEN,
    "GET executions": OPEN,
    "GET workflows": OPEN,
    "GET events": OPEN,
    "GET state": STATE,
    "GET bulk": OPEN,
    "GET bulk_count": OPEN,
    "POST bulk": OPEN,  # each execution is asked about when its turn comes
    "GET bulk_act": OTHERS,
    "POST bulk_stop": OTHERS,
    "GET workers": WORKERS,
    "GET audit": AUDIT,
    "POST audit_export": AUDIT,
    "GET execution": VIEW,
    "GET execution-frame": VIEW,
    "GET execution_part": VIEW,
    "GET children": VIEW,
    "GET items": VIEW,
    "GET node": VIEW,
    "GET artifact": VIEW,
    "GET signals": VIEW,
    "GET workflow": VIEW,
    "GET event": EVENTS,
    "GET state_value": STATE,
    "GET plan": VIEW,
    "POST plan": CONTROL,
    "GET preview": CONTROL,
    "POST attend": CONTROL,
    "POST send_signal": CONTROL,
    "POST verb": CONTROL,
    "POST trigger": CONTROL,
    "POST invalidate": CONTROL,
    "POST start": RUN,
    "POST decide": APPROVE,
    "GET event_emit": EMIT,
    "POST event_emit": EMIT,
    "POST state_set": CHANGE_STATE,
    "POST state_delete": CHANGE_STATE,
    "GET people": PEOPLE,
    "GET person": PEOPLE,
    "GET simulate": PEOPLE,
    "GET workflow_people": PEOPLE,
    "POST person_roles": MANAGE,
    "POST grant_by_tag": MANAGE,
    "POST workflow_grant": MANAGE,
    "GET secrets": OPEN,
    "POST secret_new": SECRETS,
    "POST secret_version": SECRETS,
    "POST secret_disable": SECRETS,
    "POST secret_delete": SECRETS,
    "GET login": PUBLIC,
    "POST login": PUBLIC,
    "POST logout": PUBLIC,
}

# One's own account: nobody else's is named by these addresses. Some ask for a fresh second factor first.
OWN = "own"
ACCOUNT = {
    "GET account": OWN,
    "GET password": OWN,
    "GET enrol": OWN,
    "POST enrol": OWN,
    "POST recovery": OWN,
    "POST passkey_begin_register": OWN,
    "POST passkey_register": OWN,
    "POST remove_device": OWN,
    "GET step_up": OWN,
    "POST step_up_go_on": OWN,
    "POST end_sessions": OWN,
    "GET login_code": PUBLIC,
    "GET forgotten": PUBLIC,
    "GET password_asked": PUBLIC,
    "GET password_choose": PUBLIC,
    "POST passkey_begin": PUBLIC,
    "POST passkey_answer": PUBLIC,
}

API = {
    "GET api:root": OPEN,
    "GET api:workflows": OPEN,
    "GET api:executions": OPEN,
    "GET api:approvals": OPEN,
    "GET api:bulk": OPEN,
    "POST api:bulk": OPEN,
    "POST api:bulk_preview": OPEN,
    "GET api:bulk_act": OTHERS,
    "POST api:bulk_stop": OTHERS,
    "GET api:broadcasts": OPEN,
    "GET api:triggers": OPEN,
    "GET api:state": STATE,
    "GET api:cache": OPEN,
    "GET api:workflow": VIEW,
    "GET api:execution": VIEW,
    "GET api:children": VIEW,
    "GET api:items": VIEW,
    "GET api:events": VIEW,
    "GET api:journal": VIEW,
    "GET api:log": VIEW,
    "GET api:artifacts": VIEW,
    "GET api:artifact": VIEW,
    "GET api:signals": VIEW,
    "GET api:broadcast": EVENTS,
    "GET api:state_value": STATE,
    "POST api:rerun": RUN,
    "POST api:fork": RUN,
    "POST api:executions": RUN,
    "GET api:preview": CONTROL,
    "POST api:signals": CONTROL,
    "POST api:pause": CONTROL,
    "POST api:resume": CONTROL,
    "POST api:retry": CONTROL,
    "POST api:attend": CONTROL,
    "POST api:cancel": CONTROL,
    "POST api:terminate": CONTROL,
    "POST api:triggers": CONTROL,
    "POST api:cache_invalidate": CONTROL,
    "POST api:approve": APPROVE,
    "POST api:broadcasts": EMIT,
    "POST api:state_set": CHANGE_STATE,
    "POST api:state_delete": CHANGE_STATE,
    "GET api:secrets": OPEN,
    "POST api:secrets": SECRETS,
    "GET api:secret": SECRETS,
    "POST api:secret_version": SECRETS,
    "POST api:secret_disable": SECRETS,
    "POST api:secret_delete": SECRETS,
    "POST api:token": PUBLIC,
}

SOCKETS = {"ws/executions/<uuid:id>/": VIEW}

# Whoever has the shell has everything. A command acts as the principal `shell:<account>`, or does no act of anybody's.
COMMANDS_THAT_ACT = set(
    """approvals approve archive_audit attend bulk cache cancel emit events executions export_audit fork grant items
    pause rerun reset_mfa resume retry revoke rotate_secrets run secrets seed_demo show signal signals state terminate
    trace triggers who workflows""".split()
)
COMMANDS_OF_THE_SHELL = set("bench faults test up web worker verify_audit".split())

# Rows whose request here names what is not there for anybody: a node without items, a verb without a plan, a secret.
ABSENT = {
    "POST secret_version",
    "POST secret_disable",
    "POST secret_delete",
    "GET api:secret",
    "POST api:secret_version",
    "POST api:secret_disable",
    "POST api:secret_delete",
    "POST bulk",
    "GET execution_part",
    "GET items",
    "GET plan",
    "POST plan",
    "GET api:items",
    "POST api:triggers",
    "GET api:state_value",
}
# Rows that read what they were sent before they ask: a 400 is an answer to who may not, if nothing has changed.
READ_FIRST = {"POST decide", "POST state_set", "POST api:fork", "POST api:approve"}
# Rows that nobody passes without a fresh second factor, which neither the sessions here nor a token have.
SENSITIVE = {"POST api:secrets", "POST person_roles", "POST grant_by_tag", "POST workflow_grant"}
