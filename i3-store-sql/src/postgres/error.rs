//! PostgreSQL's error codes as failures of the store:
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use i3_core::store::StoreErrorKind::{Busy, Corrupt, Misconfigured, Unavailable};

use crate::server::Meaning;

/// What a code (SQLSTATE) means.
pub(crate) fn meaning(code: &str) -> Meaning {
    match code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => Meaning::passing(Busy, "other transactions keep getting in the way: try again"),
        // lock_not_available, query_canceled
        "55P03" | "57014" => Meaning::lasting(
            Busy,
            "the database did not answer within the time limit: look for a transaction that holds a lock, \
             or allow more time",
        ),
        // admin_shutdown, crash_shutdown, idle_session_timeout, idle_in_transaction_session_timeout: the server
        // ends the connection, perhaps with the commit done.
        "57P01" | "57P02" | "57P05" | "25P03" => {
            Meaning::lost("the database server ended the connection: try again, and check that it runs")
        }
        // cannot_connect_now
        "57P03" => Meaning::passing(Unavailable, "the database server is starting or stopping: try again"),
        // invalid_password, invalid_authorization_specification
        "28P01" | "28000" => Meaning::lasting(
            Misconfigured,
            "the database server refuses the user: check user name, password and pg_hba.conf",
        ),
        // invalid_catalog_name, database_dropped
        "3D000" | "57P04" => Meaning::lasting(
            Misconfigured,
            "there is no such database: create it (createdb), or correct the address",
        ),
        // invalid_schema_name
        "3F000" => {
            Meaning::lasting(Misconfigured, "there is no such schema: create it, or correct the address")
        }
        // insufficient_privilege
        "42501" => Meaning::lasting(
            Misconfigured,
            "the user lacks a permission: let it create tables in the schema and use them \
             (GRANT USAGE, CREATE ON SCHEMA), or make it the schema's owner",
        ),
        // read_only_sql_transaction
        "25006" => Meaning::lasting(
            Misconfigured,
            "the database takes no writes: connect to the primary server, and check \
             default_transaction_read_only",
        ),
        // undefined_table, undefined_column, duplicate_table, datatype_mismatch
        "42P01" | "42703" | "42804" => Meaning::lasting(
            Misconfigured,
            "a table of the store is missing or was altered: check the schema in the address, or restore \
             the tables from a backup",
        ),
        // invalid_sql_statement_name: a pooler gave us another connection
        "26000" | "42P05" => Meaning::lasting(
            Misconfigured,
            "prepared statements do not last: connect to the server itself, or have the pooler keep one \
             connection for a session",
        ),
        // undefined_object, cant_change_runtime_param, invalid_parameter_value: in the startup options
        "42704" | "55P02" | "22023" => Meaning::lasting(
            Misconfigured,
            "the database server does not take a setting: PostgreSQL 12 or later is expected",
        ),
        // disk_full
        "53100" => Meaning::lasting(Unavailable, "the database server's disk is full: make room"),
        // out_of_memory
        "53200" => Meaning::lasting(Unavailable, "the database server is out of memory"),
        // too_many_connections
        "53300" => Meaning::lasting(
            Unavailable,
            "the database server has no connection left: raise max_connections, or lower the pool sizes",
        ),
        // data_corrupted, index_corrupted
        "XX001" | "XX002" => {
            Meaning::lasting(Corrupt, "the database server finds its data damaged: restore a backup")
        }
        _ => by_class(code),
    }
}

/// What the first two characters of a code tell.
fn by_class(code: &str) -> Meaning {
    match code.get(..2) {
        Some("08") => Meaning::lost("the connection to the database was lost: check that it runs"),
        // integrity constraint violation, cardinality violation, triggered action exception, raise
        Some("23" | "21" | "09" | "P0") => {
            Meaning::lasting(Corrupt, "the stored rows contradict what was read from them")
        }
        // data exception
        Some("22") => Meaning::lasting(Corrupt, "the database does not take a value that it must take"),
        Some("28" | "42") => Meaning::lasting(
            Misconfigured,
            "the database server refuses a statement: check the user's permissions, and that the server is \
             PostgreSQL 12 or later",
        ),
        Some("53" | "54") => {
            Meaning::lasting(Unavailable, "the database server lacks resources: look at its log")
        }
        Some("58") => Meaning::lasting(Unavailable, "the database server's disk answers with an error"),
        _ => Meaning::lasting(Unavailable, "the database server failed: look at its log"),
    }
}
