"""The audit, which only grows."""

import django.core.serializers.json
import django.db.models.deletion
import django.db.models.functions.datetime
import security.fields
from django.conf import settings
from django.db import migrations, models

from security.append_only import append_only


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditRecord',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='at')),
                ('action', models.CharField(max_length=100, verbose_name='action')),
                ('outcome', models.CharField(choices=[('allowed', 'allowed'), ('denied', 'denied'), ('failed', 'failed')], max_length=10, verbose_name='outcome')),
                ('principal_kind', models.CharField(max_length=10, verbose_name='principal kind')),
                ('principal_id', models.CharField(max_length=200, verbose_name='principal id')),
                ('principal_name', models.CharField(max_length=200, verbose_name='principal')),
                ('mfa_device', models.CharField(blank=True, max_length=200, verbose_name='MFA device')),
                ('mfa_at', models.DateTimeField(blank=True, null=True, verbose_name='MFA at')),
                ('address', models.GenericIPAddressField(blank=True, null=True, verbose_name='address')),
                ('user_agent', models.CharField(blank=True, max_length=200, verbose_name='user agent')),
                ('request_id', models.CharField(blank=True, max_length=36, verbose_name='request id')),
                ('resource_type', models.CharField(blank=True, max_length=100, verbose_name='resource type')),
                ('resource_id', models.CharField(blank=True, max_length=200, verbose_name='resource id')),
                ('resource_name', models.CharField(blank=True, max_length=200, verbose_name='resource')),
                ('details', models.JSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder, verbose_name='details')),
                ('txid', security.fields.Xid8Field()),
                ('user', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'audit record',
                'verbose_name_plural': 'audit',
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['at'], name='security_audit_at'), models.Index(fields=['txid', 'id'], name='security_audit_cursor'), models.Index(fields=['resource_type', 'resource_id', 'id'], name='security_audit_resource')],
                'constraints': [models.CheckConstraint(condition=models.Q(('outcome__in', ['allowed', 'denied', 'failed'])), name='security_auditrecord_outcome')],
            },
        ),
        append_only('security_auditrecord'),
    ]
