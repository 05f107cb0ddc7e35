"""URLs of the console's pages about workflows, executions and workers."""

from django.urls import path

from security.web.zones import in_own_zone

from .views import (
    approvals,
    artifacts,
    attention,
    bulk,
    events,
    execution,
    executions,
    family,
    items,
    plan,
    signals,
    state,
    verbs,
    workers,
    workflows,
)

urlpatterns = [
    path("attention/", in_own_zone(attention.attention), name="attention"),
    path("approvals/", in_own_zone(approvals.approvals), name="approvals"),
    path("approvals/<uuid:id>/<int:wait>/", in_own_zone(approvals.decide), name="decide"),
    path("executions/", in_own_zone(executions.executions), name="executions"),
    path("bulk/", in_own_zone(bulk.start), name="bulk"),
    path("bulk/count/", bulk.count, name="bulk_count"),
    path("bulk/<uuid:id>/", in_own_zone(bulk.act), name="bulk_act"),
    path("bulk/<uuid:id>/stop/", in_own_zone(bulk.stop), name="bulk_stop"),
    path("executions/<uuid:id>/", in_own_zone(execution.execution), name="execution"),
    path("executions/<uuid:id>/children/", in_own_zone(family.children), name="children"),
    path("executions/<uuid:id>/parts/<slug:part>/", in_own_zone(execution.part), name="execution_part"),
    path("executions/<uuid:id>/items/<path:node>/", in_own_zone(items.items), name="items"),
    path("executions/<uuid:id>/nodes/<path:node>/", in_own_zone(execution.node), name="node"),
    path("executions/<uuid:id>/artifacts/<uuid:artifact>/", artifacts.download, name="artifact"),
    path("executions/<uuid:id>/plan/<slug:verb>/", in_own_zone(plan.plan), name="plan"),
    path("executions/<uuid:id>/preview/<slug:verb>/", plan.preview, name="preview"),
    path("executions/<uuid:id>/attend/", in_own_zone(verbs.attend), name="attend"),
    path("executions/<uuid:id>/signals/", in_own_zone(signals.signals), name="signals"),
    path("executions/<uuid:id>/signals/send/", in_own_zone(signals.send), name="send_signal"),
    path("executions/<uuid:id>/<slug:verb>/", in_own_zone(verbs.act), name="verb"),
    path("events/", in_own_zone(events.events), name="events"),
    path("events/emit/", in_own_zone(events.emit), name="event_emit"),
    path("events/<uuid:id>/", in_own_zone(events.event), name="event"),
    path("workflows/", in_own_zone(workflows.workflows), name="workflows"),
    path("workflows/<path:name>/trigger/", events.trigger, name="trigger"),
    path("workflows/<path:name>/start/", in_own_zone(workflows.start), name="start"),
    path("workflows/<path:name>/cache/invalidate/", in_own_zone(workflows.invalidate), name="invalidate"),
    path("workflows/<path:name>/", in_own_zone(workflows.workflow), name="workflow"),
    path("state/", in_own_zone(state.state), name="state"),
    path("state/value/", in_own_zone(state.value), name="state_value"),
    path("state/set/", in_own_zone(state.set_value), name="state_set"),
    path("state/delete/", state.delete_value, name="state_delete"),
    path("workers/", in_own_zone(workers.workers), name="workers"),
]
