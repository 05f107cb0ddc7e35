"""What a role is besides a group."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('security', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Role',
            fields=[
                ('group', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='role', serialize=False, to='auth.group', verbose_name='group')),
                ('everything', models.BooleanField(default=False, help_text='In igon7, on every workflow; not in the database.', verbose_name='may do everything')),
                ('requires_mfa', models.BooleanField(default=False, help_text='Without one, its members can do nothing but set one up.', verbose_name='must have a second factor')),
                ('given', models.JSONField(blank=True, default=list, editable=False, verbose_name='given by igon7')),
            ],
            options={
                'verbose_name': 'role',
                'verbose_name_plural': 'roles',
                'ordering': ['group__name'],
            },
        ),
    ]
