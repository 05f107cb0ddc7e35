from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orchestration", "0013_maps")]

    operations = [
        migrations.AddIndex(
            model_name="journalentry",
            index=models.Index(
                condition=models.Q(("kind", "approval")), fields=["id"], name="journal_approval"
            ),
        ),
    ]
