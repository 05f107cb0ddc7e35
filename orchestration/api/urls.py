from django.urls import path, re_path

from .approvals import Approvals, Decide
from .artifacts import Artifacts, Download
from .broadcasts import BroadcastDetail, Broadcasts, Triggers
from .bulk import Bulk, BulkDetail, BulkStop, Preview
from .caching import Cache, Invalidate
from .executions import (
    ActPreview,
    Anew,
    Attend,
    Children,
    Control,
    Events,
    ExecutionDetail,
    Executions,
    Items,
    Log,
    Retry,
    Signals,
)
from .journal import Journal
from .root import Nothing, Root
from .secrets import DeleteSecret, DisableVersion, NewVersion, OneSecret, Secrets
from .state import DeleteState, SetState, State, StateValue
from .token import obtain_token
from .workflows import WorkflowDetail, Workflows

app_name = "api"

VERBS = ("cancel", "terminate", "pause", "resume")
ONE = "executions/<uuid:id>/"

urlpatterns = [
    path("", Root.as_view(), name="root"),
    path("token/", obtain_token, name="token"),
    path("workflows/", Workflows.as_view(), name="workflows"),
    path("workflows/<path:name>/", WorkflowDetail.as_view(), name="workflow"),
    path("secrets/", Secrets.as_view(), name="secrets"),
    path("secrets/<str:name>/", OneSecret.as_view(), name="secret"),
    path("secrets/<str:name>/version/", NewVersion.as_view(), name="secret_version"),
    path("secrets/<str:name>/disable/", DisableVersion.as_view(), name="secret_disable"),
    path("secrets/<str:name>/delete/", DeleteSecret.as_view(), name="secret_delete"),
    path("executions/", Executions.as_view(), name="executions"),
    path(ONE, ExecutionDetail.as_view(), name="execution"),
    *(path(f"{ONE}{verb}/", Control.as_view(), {"verb": verb}, name=verb) for verb in VERBS),
    path(f"{ONE}retry/", Retry.as_view(), name="retry"),
    path(f"{ONE}attend/", Attend.as_view(), name="attend"),
    *(path(f"{ONE}{verb}/", Anew.as_view(), {"verb": verb}, name=verb) for verb in ("rerun", "fork")),
    path(f"{ONE}preview/", ActPreview.as_view(), name="preview"),
    path(f"{ONE}signals/", Signals.as_view(), name="signals"),
    path(f"{ONE}approvals/", Decide.as_view(), name="approve"),
    path("approvals/", Approvals.as_view(), name="approvals"),
    path(f"{ONE}children/", Children.as_view(), name="children"),
    path(f"{ONE}nodes/<path:node>/items/", Items.as_view(), name="items"),
    path(f"{ONE}events/", Events.as_view(), name="events"),
    path(f"{ONE}journal/", Journal.as_view(), name="journal"),
    path(f"{ONE}log/", Log.as_view(), name="log"),
    path(f"{ONE}artifacts/", Artifacts.as_view(), name="artifacts"),
    path(f"{ONE}artifacts/<uuid:artifact>/", Download.as_view(), name="artifact"),
    path("bulk/", Bulk.as_view(), name="bulk"),
    path("bulk/preview/", Preview.as_view(), name="bulk_preview"),
    path("bulk/<uuid:id>/", BulkDetail.as_view(), name="bulk_act"),
    path("bulk/<uuid:id>/stop/", BulkStop.as_view(), name="bulk_stop"),
    path("events/", Broadcasts.as_view(), name="broadcasts"),
    path("events/<uuid:id>/", BroadcastDetail.as_view(), name="broadcast"),
    path("triggers/", Triggers.as_view(), name="triggers"),
    path("state/", State.as_view(), name="state"),
    path("state/value/", StateValue.as_view(), name="state_value"),
    path("state/set/", SetState.as_view(), name="state_set"),
    path("state/delete/", DeleteState.as_view(), name="state_delete"),
    path("cache/", Cache.as_view(), name="cache"),
    path("cache/invalidate/", Invalidate.as_view(), name="cache_invalidate"),
    re_path("^(?P<rest>.*)$", Nothing.as_view()),
]
