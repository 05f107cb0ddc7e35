"""The audit's chain, and the segments of it that have moved to files."""

import django.db.models.functions.datetime
from django.db import migrations, models

from security.append_only import append_only, archivable


class Migration(migrations.Migration):

    dependencies = [
        ('security', '0002_roles'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditSeal',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False, verbose_name='position')),
                ('record', models.BigIntegerField(unique=True, verbose_name='record')),
                ('digest', models.CharField(max_length=64, verbose_name='digest')),
                ('txid', models.BigIntegerField(null=True)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='sealed')),
            ],
            options={
                'verbose_name': 'audit seal',
                'verbose_name_plural': 'audit seals',
                'ordering': ['-position'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='AuditSegment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first', models.BigIntegerField(unique=True, verbose_name='first position')),
                ('last', models.BigIntegerField(unique=True, verbose_name='last position')),
                ('last_record', models.BigIntegerField(verbose_name='last record')),
                ('txid', models.BigIntegerField(null=True)),
                ('previous', models.CharField(max_length=64, verbose_name='digest before it')),
                ('digest', models.CharField(max_length=64, verbose_name='digest at its end')),
                ('file', models.CharField(max_length=500, verbose_name='file')),
                ('sha256', models.CharField(max_length=64, verbose_name='SHA-256 of the file')),
                ('signature', models.CharField(max_length=100, verbose_name='signature')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='archived')),
            ],
            options={
                'verbose_name': 'audit segment',
                'verbose_name_plural': 'audit segments',
                'ordering': ['-last'],
                'default_permissions': ('view',),
            },
        ),
        append_only("security_auditseal"),
        append_only("security_auditsegment"),
        archivable(
            "security_auditrecord",
            "EXISTS (SELECT 1 FROM security_auditseal s JOIN security_auditsegment g"
            " ON s.position BETWEEN g.first AND g.last WHERE s.record = OLD.id)",
        ),
        archivable(
            "security_auditseal",
            "EXISTS (SELECT 1 FROM security_auditsegment g WHERE OLD.position BETWEEN g.first AND g.last)",
        ),
    ]
