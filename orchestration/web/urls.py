"""URLs of the console's pages about workflows, executions and workers."""

from django.urls import path

from .views import artifacts, execution, executions, verbs, workers, workflows

urlpatterns = [
    path("executions/", executions.executions, name="executions"),
    path("executions/<uuid:id>/", execution.execution, name="execution"),
    path("executions/<uuid:id>/parts/<slug:part>/", execution.part, name="execution_part"),
    path("executions/<uuid:id>/nodes/<path:node>/", execution.node, name="node"),
    path("executions/<uuid:id>/artifacts/<uuid:artifact>/", artifacts.download, name="artifact"),
    path("executions/<uuid:id>/<slug:verb>/", verbs.act, name="verb"),
    path("workflows/", workflows.workflows, name="workflows"),
    path("workflows/<path:name>/start/", workflows.start, name="start"),
    path("workflows/<path:name>/", workflows.workflow, name="workflow"),
    path("workers/", workers.workers, name="workers"),
]
