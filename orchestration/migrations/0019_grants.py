"""Grants on workflows in tables of their own; those that were made before move there."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def move(apps, editor):
    """Take what guardian keeps of workflows in its tables for everything."""
    using = editor.connection.alias
    for whom in ("User", "Group"):
        generic = apps.get_model("guardian", f"{whom}ObjectPermission").objects.using(using)
        ours = apps.get_model("orchestration", f"Workflow{whom}Permission").objects.using(using)
        rows = generic.filter(content_type__app_label="orchestration", content_type__model="workflow")
        field = f"{whom.lower()}_id"
        there = set(apps.get_model("orchestration", "Workflow").objects.using(using).values_list("pk", flat=True))
        for row in rows:
            if int(row.object_pk) in there:
                about = {field: getattr(row, field), "permission_id": row.permission_id}
                ours.get_or_create(content_object_id=int(row.object_pk), **about)
        rows.delete()


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('guardian', '0002_generic_permissions_index'),
        ('orchestration', '0018_release'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='workflow',
            options={'ordering': ['name'], 'permissions': [('run_workflow', 'Can run workflow'), ('control_workflow', 'Can control its executions'), ('approve_workflow', 'Can decide what its executions ask')], 'verbose_name': 'workflow', 'verbose_name_plural': 'workflows'},
        ),
        migrations.CreateModel(
            name='TagGrant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tag', models.CharField(max_length=200, verbose_name='tag')),
                ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='tag_grants', to='auth.group', verbose_name='role')),
                ('permission', models.ForeignKey(limit_choices_to={'content_type__app_label': 'orchestration', 'content_type__model': 'workflow'}, on_delete=django.db.models.deletion.CASCADE, to='auth.permission', verbose_name='permission')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='tag_grants', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'grant by tag',
                'verbose_name_plural': 'grants by tag',
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('group__isnull', True), ('user__isnull', False)), models.Q(('group__isnull', False), ('user__isnull', True)), _connector='OR'), name='tag_grant_to_one', violation_error_message='Give it to a person or to a role.'), models.UniqueConstraint(condition=models.Q(('user__isnull', False)), fields=('user', 'permission', 'tag'), name='tag_grant_user_once'), models.UniqueConstraint(condition=models.Q(('group__isnull', False)), fields=('group', 'permission', 'tag'), name='tag_grant_group_once')],
            },
        ),
        migrations.CreateModel(
            name='WorkflowGroupPermission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content_object', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='orchestration.workflow', verbose_name='workflow')),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.group')),
                ('permission', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.permission')),
            ],
            options={
                'verbose_name': 'grant to a role',
                'verbose_name_plural': 'grants to roles',
                'abstract': False,
                'unique_together': {('group', 'permission', 'content_object')},
            },
        ),
        migrations.CreateModel(
            name='WorkflowUserPermission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content_object', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='orchestration.workflow', verbose_name='workflow')),
                ('permission', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.permission')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'grant to a person',
                'verbose_name_plural': 'grants to people',
                'abstract': False,
                'unique_together': {('user', 'permission', 'content_object')},
            },
        ),
        migrations.RunPython(move, migrations.RunPython.noop),
    ]
