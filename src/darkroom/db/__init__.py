"""The database: tables, migrations, one query module an aggregate. SQLite and PostgreSQL alike."""
