"""The error tree. A class's docstring is the template of its message; its fields stay readable as attributes."""

from __future__ import annotations

from typing import Any, ClassVar


class Igon7Error(Exception):
    """{detail}"""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400

    def __init__(self, detail: str = "", **fields: Any) -> None:
        self.fields = {"detail": detail, **fields}
        for name, value in fields.items():
            setattr(self, name, value)
        template = " ".join((type(self).__doc__ or "{detail}").split())
        super().__init__(template.format(**self.fields))


# --- authoring -------------------------------------------------------------------------------------


class GraphError(Igon7Error):
    """{detail}"""

    code = "graph_invalid"


class CycleError(GraphError):
    """Workflow "{workflow}" has a cycle: {path}. Remove one of these dependencies."""

    code = "graph_cycle"


class UnknownDependency(GraphError):
    """Node "{node}" of workflow "{workflow}" depends on "{dependency}", which does not exist. {hint}"""

    code = "graph_unknown_dependency"


class DuplicateNode(GraphError):
    """Workflow "{workflow}" has two nodes called "{node}". Rename one of them."""

    code = "graph_duplicate_node"


class NotSerialisable(Igon7Error):
    """{what} cannot be kept as JSON: {reason}. Return plain data, or keep a file with ctx.artifact()."""

    code = "not_serialisable"


class PayloadTooLarge(Igon7Error):
    """{what} is {size} bytes; the limit is {limit}. Keep large data with ctx.artifact() and pass the reference."""

    code = "payload_too_large"
    status = 413


class CodecError(Igon7Error):
    """This is not a workflow definition igon7 can read: {detail}"""

    code = "definition_invalid"


class InvalidCondition(Igon7Error):
    """'{text}' is not a condition: {why} (character {place})."""

    code = "invalid_condition"


class UnknownTask(Igon7Error):
    """Node "{node}" of workflow "{workflow}" needs the task "{task}", which no installed module registers with @task.
    {hint}"""

    code = "unknown_task"


# --- at the doors ----------------------------------------------------------------------------------


class UnknownWorkflow(Igon7Error):
    """There is no workflow "{name}". {hint}"""

    code = "unknown_workflow"
    status = 404


class UnknownExecution(Igon7Error):
    """There is no execution {id} that you may see."""

    code = "unknown_execution"
    status = 404


class InvalidInput(Igon7Error):
    """The input does not fit the workflow "{workflow}": {detail}"""

    code = "invalid_input"


class InvalidSignal(Igon7Error):
    """The payload does not fit the signal "{name}" of workflow "{workflow}": {detail}"""

    code = "invalid_signal"


class InvalidAnswers(Igon7Error):
    """The answers do not fit what "{name}" asks: {detail}"""

    code = "invalid_answers"


class InvalidOption(Igon7Error):
    """{option} is {value!r}; it must be {expected}."""

    code = "invalid_option"


class IllegalMove(Igon7Error):
    """Execution {id} is {state}, so it cannot {verb}. {hint}"""

    code = "illegal_state"
    status = 409


class IdempotencyConflict(Igon7Error):
    """The idempotency key "{key}" was used for another input of "{workflow}" (execution {id}). Use a new key."""

    code = "idempotency_conflict"
    status = 409


class UnknownEvent(Igon7Error):
    """There is no event {id} that you may see."""

    code = "unknown_event"
    status = 404


class UnknownTrigger(Igon7Error):
    """The workflow "{workflow}" is not started by an event "{event}". {hint}"""

    code = "unknown_trigger"
    status = 404


class UnknownState(Igon7Error):
    """There is no state "{key}" {where}."""

    code = "unknown_state"
    status = 404


class StateChanged(Igon7Error):
    """The state "{key}" {found}, and was to be at version {expected}: somebody has changed it. Look at it again."""

    code = "state_changed"
    status = 409


# --- raised by and to bodies -----------------------------------------------------------------------


class RetryAfter(Igon7Error):
    """{detail}"""

    code = "retry_after"

    def __init__(self, delay: Any, detail: str = "") -> None:
        from .durations import seconds

        self.delay = seconds(delay)
        super().__init__(detail or f"asked to be tried again in {self.delay:g} s")


class DoNotRetry(Igon7Error):
    """{detail}"""

    code = "do_not_retry"


class NodeTimeout(Igon7Error, TimeoutError):
    """The body ran longer than its timeout of {timeout:g} s."""

    code = "node_timeout"


class DeadlineExceeded(NodeTimeout):
    """The attempts at the node took longer together than its deadline of {deadline:g} s."""

    code = "node_deadline"


class HeartbeatTimeout(NodeTimeout):
    """The body said nothing for longer than its heartbeat timeout of {timeout:g} s. Call ctx.heartbeat() more often."""

    code = "node_heartbeat_timeout"


class QueueTimeout(NodeTimeout):
    """No worker began the node within its queue timeout of {timeout:g} s. Look at the workers that serve its queue."""

    code = "node_queue_timeout"


class SignalTimeout(Igon7Error, TimeoutError):
    """No signal "{name}" came within {timeout:g} s."""

    code = "signal_timeout"


class EventTimeout(Igon7Error, TimeoutError):
    """No event "{name}" came within {timeout:g} s."""

    code = "event_timeout"


class ApprovalTimeout(Igon7Error, TimeoutError):
    """Nobody decided about "{name}" within {timeout:g} s."""

    code = "approval_timeout"


class ApprovalRejected(Igon7Error):
    """{by} rejected "{name}"{comment}"""

    code = "approval_rejected"


class NodeDenied(Igon7Error):
    """Node "{node}" may not run: {reason}"""

    code = "node_denied"
    status = 403


class RepeatExhausted(Igon7Error):
    """The body has run {count} times, which is the most that it may, and is not done. Look at what it gave last, then
    retry the node, or let it run more often."""

    code = "repeat_exhausted"


class ChildFailed(Igon7Error):
    """The child "{workflow}" (execution {id}) {said}"""

    code = "child_failed"
    id: str
    workflow: str
    ended: str  # failed, cancelled or terminated
    error: dict[str, Any] | None  # the child's own


class ChildTooDeep(Igon7Error):
    """An execution can be at most {limit} below the first: {chain}. Look for a workflow that starts itself without
    end, or raise IGON7_CHILD_DEPTH."""

    code = "child_too_deep"


class ReplayDiverged(Igon7Error):
    """The body does not do what it did before it waited: {detail} Durable calls must come in the same order on each
    run: keep what differs from run to run (the time, chance, what is read elsewhere) in ctx.step()."""

    code = "replay_diverged"


class DurableInStep(Igon7Error):
    """{kind} "{name}" was asked for inside of ctx.step("{step}"), whose function does not run again when the body does.
    Leave the step first, and ask for it in the body itself."""

    code = "durable_in_step"


class NotCountable(Igon7Error):
    """{by} cannot be added to the state "{key}": {why}"""

    code = "state_not_countable"


class NotInTransaction(Igon7Error):
    """{kind} "{name}" cannot be had by a transactional body: its transaction would wait, or others would for it. Ask in
    a node of its own, before this one or after it."""

    code = "not_in_transaction"


class TransactionBroken(Igon7Error):
    """The body ended the transaction that it runs in: {how}"""

    code = "transaction_broken"


class MapFailed(Igon7Error):
    """{count} of the {items} items of "{node}" failed: {named}. The first: {why}"""

    code = "map_failed"


class UnknownMap(Igon7Error):
    """Execution {id} has no map "{node}"."""

    code = "unknown_map"
    status = 404


class NotAList(Igon7Error):
    """Map "{node}" goes over {what}, which gave {found}; it needs a list of at most {most:,} items."""

    code = "not_a_list"


class NodeLost(Igon7Error):
    """The worker that ran this node disappeared {losses} times in a row; the node is treated as poison.
    Look at what it does to its process (memory, exit, native code), then retry it."""

    code = "node_poison"


class NodeCancelled(Igon7Error):
    """The execution was cancelled{reason}."""

    code = "node_cancelled"


class UnknownSecret(Igon7Error):
    """There is no secret "{name}" that {who} may use. Look at its name, and at who may use it."""

    code = "unknown_secret"
    status = 404


class SecretDenied(Igon7Error):
    """The secret "{name}" may not be used here: {why}"""

    code = "secret_denied"
    status = 403


class UnknownResult(Igon7Error, KeyError):
    """Node "{node}" has no result here: {why}"""

    code = "unknown_result"

    def __str__(self) -> str:
        return str(self.args[0])


class UnknownArtifact(Igon7Error):
    """There is no artifact {id} in this execution."""

    code = "unknown_artifact"
    status = 404


class IllegalTransition(Igon7Error):
    """A {kind} cannot move from {before} to {after}; this is a fault in igon7, not in your workflow."""

    code = "illegal_transition"
    status = 500
