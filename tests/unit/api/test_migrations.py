"""Every revision expands: the version before it goes on serving on its schema. What takes away says that it contracts."""

import ast
import re
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from bapsang_api.endings import Code
from bapsang_api.migrate import MigrationError, is_behind, migrate, revisions
from bapsang_api.migrations import versions

REVISIONS = sorted(Path(versions.__path__[0]).glob("r*.py"))
TAKING_AWAY = {"drop_column", "drop_table", "drop_index", "drop_constraint", "rename_table", "execute"}


def offences(source: str) -> list[str]:
    """Return what a revision's upgrade does that the version before cannot live with; nothing for `contract = True`."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "contract" and node.value is not None:
            return [] if ast.literal_eval(node.value) is True else ["contract is neither left out nor True"]
    # Whatever is not the way back may run on the way forth, helpers and tables of columns included.
    forth = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name == "downgrade")]
    found = []
    for call in (call for node in forth for call in _calls(node)):
        name, options = _name(call), {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        narrowing = options.keys() & {"new_column_name", "type_"} or options.get("nullable") == "False"
        if name in TAKING_AWAY or (name == "alter_column" and narrowing):
            found.append(name)
        elif name == "add_column":
            for column in _calls(call, "Column"):
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in column.keywords}
                if given.get("nullable") == "False" and "server_default" not in given:
                    found.append("a column that must be given and has no default")
    return found


def _calls(node: ast.AST, name: str | None = None) -> list[ast.Call]:
    calls = [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    return [call for call in calls if name is None or _name(call) == name]


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_names_of_the_files_tell_the_revisions_and_the_newest_sorts_last() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(versions.__path__[0]).parent))
    scripts = ScriptDirectory.from_config(config)
    assert revisions() == {script.revision for script in scripts.walk_revisions()}
    assert max(revisions()) == scripts.get_current_head()
    assert all(re.fullmatch("[0-9]{4}", revision) for revision in revisions())  # alembic revision --rev-id 0009


@pytest.mark.parametrize("path", REVISIONS, ids=lambda path: path.stem)
def test_revision_only_adds_unless_it_is_marked(path: Path) -> None:
    assert offences(path.read_text()) == []


@pytest.mark.parametrize(
    "statement",
    [
        'op.drop_column("posts", "title")',
        'op.drop_table("posts")',
        'op.drop_index("ix_posts_feed", "posts")',
        'op.rename_table("posts", "articles")',
        'op.alter_column("posts", "title", new_column_name="name")',
        'op.alter_column("posts", "updated_at", nullable=False)',
        'op.execute("ALTER TABLE posts DROP COLUMN title")',
        'op.add_column("posts", sa.Column("tone", sa.String(9), nullable=False))',
    ],
)
def test_what_the_version_before_cannot_live_with_is_found_and_may_be_marked(statement: str) -> None:
    revision = f"def upgrade() -> None:\n    {statement}\n\n\ndef downgrade() -> None:\n    pass\n"
    assert offences(revision)
    assert offences(f"contract: bool = True\n\n\n{revision}") == []


@pytest.mark.parametrize(
    "statement",
    [
        'op.add_column("posts", sa.Column("tone", sa.String(9)))',
        'op.add_column("posts", sa.Column("tone", sa.String(9), nullable=False, server_default="plain"))',
        'op.create_index("ix_posts_tone", "posts", ["tone"])',
        'op.create_table("tones", sa.Column("id", sa.Integer(), nullable=False))',
    ],
)
def test_what_only_adds_is_no_offence(statement: str) -> None:
    back = 'def downgrade() -> None:\n    op.drop_column("posts", "tone")\n'
    assert offences(f"def upgrade() -> None:\n    {statement}\n\n\n{back}") == []


@pytest.mark.parametrize(
    ("applied", "newer"),
    [
        (["9999"], True),
        (["a1b2c3d4e5f6"], False),
        (["a1b2c3d4e5f6", "9999"], False),
        (["99999"], False),
        (["９９９９"], False),
        (["0000"], False),
    ],
)
def test_unknown_revision_is_a_newer_schema_only_in_our_form_and_order(
    tmp_path: Path, applied: list[str], newer: bool
) -> None:
    url = f"sqlite:///{tmp_path}/database"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:one)"), [{"one": one} for one in applied])
        assert is_behind(connection) is not newer
    if newer:
        assert migrate(url) == applied[0]
    else:
        with pytest.raises(MigrationError, match="another program's") as refused:
            migrate(url)
        assert refused.value.ending.code == Code.SCHEMA_FOREIGN
    with engine.begin() as connection:
        assert connection.execute(text("SELECT name FROM sqlite_schema")).scalars().all() == ["alembic_version"]
    engine.dispose()
