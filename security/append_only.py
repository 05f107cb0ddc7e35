"""Tables that only grow: triggers that refuse to change or remove what is written.

Django's SQLite schema editor replaces a table to alter it, and the triggers go with the old one: a migration
that alters an append-only model ends with `append_only` again.

There is no way round them for the product. Tests, whose flush empties every table, take the triggers away
for the length of that flush (see security.testing).
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import RunPython

PREFIX = "igon7_append_only"

POSTGRESQL = [
    """
    CREATE OR REPLACE FUNCTION {prefix}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% of the append-only table % is refused.', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER {prefix}_{table} BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}"
    FOR EACH STATEMENT EXECUTE FUNCTION {prefix}()
    """,
]
SQLITE = [
    """
    CREATE TRIGGER IF NOT EXISTS {prefix}_update_{table} BEFORE UPDATE ON "{table}"
    BEGIN SELECT RAISE(ABORT, 'UPDATE of the append-only table {table} is refused.'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS {prefix}_delete_{table} BEFORE DELETE ON "{table}"
    BEGIN SELECT RAISE(ABORT, 'DELETE of the append-only table {table} is refused.'); END
    """,
    # INSERT OR REPLACE removes the old row without firing the trigger above.
    """
    CREATE TRIGGER IF NOT EXISTS {prefix}_replace_{table} BEFORE INSERT ON "{table}"
    WHEN EXISTS (SELECT 1 FROM "{table}" WHERE rowid = NEW.rowid)
    BEGIN SELECT RAISE(ABORT, 'REPLACE of the append-only table {table} is refused.'); END
    """,
]


# In the place of those above, where rows may go once they are archived.
ARCHIVABLE_POSTGRESQL = [
    """
    CREATE OR REPLACE TRIGGER {prefix}_{table} BEFORE UPDATE OR TRUNCATE ON "{table}"
    FOR EACH STATEMENT EXECUTE FUNCTION {prefix}()
    """,
    """
    CREATE OR REPLACE FUNCTION {prefix}_kept_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF {archived} THEN RETURN OLD; END IF;
        RAISE EXCEPTION 'DELETE of the append-only table {table} is refused: the row is not archived.'
            USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER {prefix}_delete_{table} BEFORE DELETE ON "{table}"
    FOR EACH ROW EXECUTE FUNCTION {prefix}_kept_{table}()
    """,
]
ARCHIVABLE_SQLITE = [
    "DROP TRIGGER IF EXISTS {prefix}_delete_{table}",
    """
    CREATE TRIGGER {prefix}_delete_{table} BEFORE DELETE ON "{table}" WHEN NOT ({archived})
    BEGIN SELECT RAISE(ABORT, 'DELETE of the append-only table {table} is refused: the row is not archived.'); END
    """,
]


def archivable(table: str, archived: str) -> RunPython:
    """Return the operation that lets rows of an append-only table go where the SQL condition on OLD says they may."""

    def install(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        postgres = editor.connection.vendor == "postgresql"
        for statement in ARCHIVABLE_POSTGRESQL if postgres else ARCHIVABLE_SQLITE:
            editor.execute(statement.format(prefix=PREFIX, table=table, archived=archived), params=None)

    def remove(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        statements = POSTGRESQL if editor.connection.vendor == "postgresql" else SQLITE
        drop = f"DROP TRIGGER IF EXISTS {PREFIX}_delete_{table}"
        editor.execute(drop + (f' ON "{table}"' if statements is POSTGRESQL else ""), params=None)
        for statement in statements:
            editor.execute(statement.format(prefix=PREFIX, table=table), params=None)

    return RunPython(install, remove)


def append_only(table: str) -> RunPython:
    """Return the migration operation that makes a table append-only.

    From then on UPDATE, DELETE, TRUNCATE and REPLACE raise django.db.IntegrityError. On SQLite the table's
    primary key must be an integer.
    """

    def install(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        statements = POSTGRESQL if editor.connection.vendor == "postgresql" else SQLITE
        for statement in statements:
            editor.execute(statement.format(prefix=PREFIX, table=table), params=None)

    def remove(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        if editor.connection.vendor == "postgresql":
            editor.execute(f'DROP TRIGGER IF EXISTS {PREFIX}_{table} ON "{table}"', params=None)
            return
        for kind in ("update", "delete", "replace"):
            editor.execute(f"DROP TRIGGER IF EXISTS {PREFIX}_{kind}_{table}", params=None)

    return RunPython(install, remove)
