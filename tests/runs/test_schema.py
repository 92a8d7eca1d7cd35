from __future__ import annotations

import sqlite3

import pytest
from fake_experiment import FakeSpec

from labkit.errors import BadInput
from labkit.runs import RunKey, Store, schema

KEY = RunKey("99", "a" * 16, 0, "cpu")


def connect(path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "labkit.sqlite").touch()
    with Store(tmp_path) as store:
        assert store.replicates() == []
    connection = connect(tmp_path / "labkit.sqlite")
    assert schema.version(connection) == schema.VERSION == 1
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    connection.close()


def test_a_newer_store_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "labkit.sqlite"
    connection = connect(file)
    connection.execute("CREATE TABLE schema (version INTEGER NOT NULL)")
    connection.execute("INSERT INTO schema VALUES (99)")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(BadInput, match=r"^store = .*version 1 or older; this one has version 99: update labkit$"):
        Store(tmp_path)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["labkit.sqlite"]


def make_file(path):
    path.write_text("not a folder")
    return path


def make_below_a_file(path):
    return make_file(path) / "store"


def make_no_database(path):
    path.mkdir()
    (path / "labkit.sqlite").write_text("this is a text, and long enough to be read as a header " * 10)
    return path


def make_folder_in_place_of_the_file(path):
    (path / "labkit.sqlite").mkdir(parents=True)
    return path


@pytest.mark.parametrize("make", [make_file, make_below_a_file, make_no_database, make_folder_in_place_of_the_file])
def test_what_cannot_be_a_store_is_bad_input_in_one_line(tmp_path, make):
    path = make(tmp_path / "place")
    with pytest.raises(
        BadInput, match=r"^store = '.*place.*' is not usable; allowed: a folder that can be written \(.+\)$"
    ) as info:
        Store(path)
    assert "\n" not in str(info.value)


def test_a_database_that_cannot_be_written_is_bad_input(tmp_path, monkeypatch):
    Store(tmp_path).close()
    # Root may write read-only files, so the connection itself is made read-only.
    original = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda file, **options: original(f"file:{file}?mode=ro", uri=True, **options)
    )
    with pytest.raises(BadInput, match="readonly database"):
        Store(tmp_path)


def _second(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE replicate ADD COLUMN weights TEXT NOT NULL DEFAULT ''")


def _broken(connection: sqlite3.Connection) -> None:
    _second(connection)
    connection.execute("ALTER TABLE nowhere ADD COLUMN weights TEXT")


def test_an_older_store_is_migrated_with_what_it_holds(tmp_path, monkeypatch):
    with Store(tmp_path) as store, store.claim(KEY, FakeSpec.of()):
        store.finish(KEY)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, _second))
    monkeypatch.setattr(schema, "VERSION", 2)
    with Store(tmp_path) as store:
        assert store.status(KEY) == "finished"
        assert store._database.read("SELECT weights FROM replicate")[0]["weights"] == ""
    Store(tmp_path).close()  # and not migrated twice


def test_a_migration_that_breaks_leaves_the_old_store(tmp_path, monkeypatch):
    with Store(tmp_path) as store, store.claim(KEY, FakeSpec.of()):
        store.finish(KEY)
    with monkeypatch.context() as patched:
        patched.setattr(schema, "STEPS", (*schema.STEPS, _broken))
        patched.setattr(schema, "VERSION", 2)
        with pytest.raises(BadInput, match="no such table: nowhere"):
            Store(tmp_path)
    connection = connect(tmp_path / "labkit.sqlite")
    assert schema.version(connection) == 1
    assert "weights" not in [row["name"] for row in connection.execute("PRAGMA table_info (replicate)")]
    connection.close()
    with Store(tmp_path) as store:
        assert store.status(KEY) == "finished"


def test_the_database_refuses_what_the_code_never_writes(tmp_path):
    with Store(tmp_path) as store, store.claim(KEY, FakeSpec.of()):
        pass
    connection = connect(tmp_path / "labkit.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        connection.execute("UPDATE replicate SET status = 'done'")
    connection.close()
