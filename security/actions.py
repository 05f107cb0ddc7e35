"""Every action that `security` can be asked about, each declared once with what it means."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from security.errors import UnknownAction


@dataclass(frozen=True, slots=True)
class Action:
    """One declared action; `description` continues the sentence “alice may not …”."""

    name: str
    description: str | Promise
    open_to_all: bool = False  # any active person, without a grant
    sensitive: bool = False  # asks for a second factor that has answered within minutes


_declared: dict[str, Action] = {}


def declare(
    name: str, description: str | Promise, *, open_to_all: bool = False, sensitive: bool = False
) -> str:
    """Declare an action and return its name. Raises ValueError when the name is taken."""
    if name in _declared:
        raise ValueError(f'The action "{name}" is declared twice; choose another name.')
    _declared[name] = Action(name, description, open_to_all, sensitive)
    return name


def declared(name: str) -> Action:
    """Return the declared action. Raises UnknownAction."""
    try:
        return _declared[name]
    except KeyError:
        known = ", ".join(sorted(_declared))
        raise UnknownAction(f'No action "{name}" is declared; the declared ones are {known}.') from None


def all_actions() -> tuple[Action, ...]:
    """Return every declared action, by name."""
    return tuple(_declared[name] for name in sorted(_declared))


# Opening the console or the API shows nothing by itself: each list in it is cut down by `visible_to`.
CONSOLE_OPEN = declare("console.open", _("open the console"), open_to_all=True)
ACCOUNT_CHANGE = declare("account.change", _("change your account"), open_to_all=True)
DEVICE_CHANGE = declare("device.change", _("change your second factors"), open_to_all=True, sensitive=True)

WORKFLOW_VIEW = declare("workflow.view", _("view workflows"))
WORKFLOW_RUN = declare("workflow.run", _("run workflows"))
EXECUTION_VIEW = declare("execution.view", _("view executions"))
EXECUTION_CONTROL = declare("execution.control", _("control executions"))
EXECUTION_APPROVE = declare("execution.approve", _("decide what executions ask"))
CACHE_INVALIDATE = declare("cache.invalidate", _("invalidate cached results"))
EVENT_VIEW = declare("event.view", _("view events"))
EVENT_EMIT = declare("event.emit", _("emit events"))
TRIGGER_SET = declare("trigger.set", _("decide about what starts a workflow"))
TRIGGER_ASSIGN = declare("trigger.assign", _("let a trigger act for somebody else"))
STATE_CHANGE = declare("state.change", _("change shared state"))
GLOBAL_STATE_VIEW = declare("state.global.view", _("view the state that all workflows share"))
GLOBAL_STATE_CHANGE = declare("state.global.change", _("change the state that all workflows share"))
ARTIFACT_DOWNLOAD = declare("artifact.download", _("download artifacts"))
WORKER_VIEW = declare("worker.view", _("view worker nodes"))
GRANT_MANAGE = declare("grant.manage", _("decide who may do what"), sensitive=True)
PERSON_MANAGE = declare("person.manage", _("decide about people and their roles"), sensitive=True)
PERSON_VIEW = declare("person.view", _("see who may do what"))
SECRET_VIEW = declare("secret.view", _("see that there are secrets"))
SECRET_USE = declare("secret.use", _("use secrets in workflows"))
SECRET_CHANGE = declare("secret.change", _("change secrets"), sensitive=True)
AUDIT_VIEW = declare("audit.view", _("view the audit"))
