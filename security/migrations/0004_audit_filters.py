"""Indexes for the filters of the audit's page."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('security', '0003_chain'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(fields=['principal_name', 'id'], name='security_audit_who'),
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(fields=['action', 'id'], name='security_audit_action'),
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(condition=models.Q(('outcome', 'allowed'), _negated=True), fields=['outcome', 'id'], name='security_audit_not_allowed'),
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(condition=models.Q(('address__isnull', False)), fields=['address', 'id'], name='security_audit_address'),
        ),
        migrations.AddIndex(
            model_name='auditrecord',
            index=models.Index(condition=models.Q(('request_id', ''), _negated=True), fields=['request_id'], name='security_audit_request'),
        ),
    ]
