//! The error numbers of MySQL and MariaDB as failures of the store:
//! <https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-codes/>.

use i3_core::store::StoreErrorKind::{Busy, Corrupt, Incompatible, Misconfigured, Unavailable};

use crate::server::Meaning;

/// What an error number means.
pub(crate) fn meaning(number: u16) -> Meaning {
    match number {
        // CHECKREAD (changed since it was read), TABLE_DEF_CHANGED, LOCK_DEADLOCK, NEED_REPREPARE
        1020 | 1213 | 1412 | 1615 => {
            Meaning::passing(Busy, "other transactions keep getting in the way: try again")
        }
        // LOCK_WAIT_TIMEOUT, STATEMENT_TIMEOUT (MariaDB), QUERY_TIMEOUT (MySQL): only the statement ends
        1205 => Meaning::passing(
            Busy,
            "another transaction held a lock for longer than this store waits: end it (SHOW PROCESSLIST)",
        ),
        1969 | 3024 => Meaning::lasting(
            Busy,
            "the database did not answer within the time limit: look for a transaction that holds a lock, \
             or allow more time",
        ),
        // QUERY_INTERRUPTED
        1317 => Meaning::passing(Busy, "somebody at the database ended the statement: try again"),
        // SERVER_SHUTDOWN, NORMAL_SHUTDOWN, FORCING_CLOSE, ABORTING_CONNECTION, NEW_ABORTING_CONNECTION, the
        // NET_ errors, CONNECTION_KILLED, CLIENT_INTERACTION_TIMEOUT
        1053 | 1077..=1080 | 1152 | 1156..=1161 | 1184 | 1927 | 4031 => {
            Meaning::lost("the database server ended the connection: try again, and check that it runs")
        }
        // CON_COUNT, TOO_MANY_USER_CONNECTIONS, USER_LIMIT_REACHED
        1040 | 1203 | 1226 => Meaning::lasting(
            Unavailable,
            "the database server has no connection left for this user: raise max_connections (or the \
             user's limit), or lower the pool sizes",
        ),
        // OUTOFMEMORY, OUT_OF_SORTMEMORY, OUT_OF_RESOURCES
        1037 | 1038 | 1041 | 1135 => {
            Meaning::lasting(Unavailable, "the database server is out of memory or threads")
        }
        // DISK_FULL, RECORD_FILE_FULL, errno 28 of a file
        3 | 1021 | 1114 => {
            Meaning::lasting(Unavailable, "the database server's disk (or its tablespace) is full: make room")
        }
        // file errors, GET_ERRNO, IO_WRITE_ERROR
        1004..=1019 | 1022..=1030 | 1116 | 1296 | 1811 => {
            Meaning::lasting(Unavailable, "the database server's disk answers with an error: look at its log")
        }
        // OPTION_PREVENTS_STATEMENT, CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, READ_ONLY_MODE
        1290 | 1792 | 1836 => Meaning::lasting(
            Misconfigured,
            "the database takes no writes: connect to the primary server, and check read_only",
        ),
        // ACCESS_DENIED, HOST_IS_BLOCKED, HOST_NOT_PRIVILEGED, NOT_SUPPORTED_AUTH_MODE, ACCESS_DENIED_NO_PASSWORD,
        // MUST_CHANGE_PASSWORD, ACCOUNT_HAS_BEEN_LOCKED, SECURE_TRANSPORT_REQUIRED
        1045 | 1129 | 1130 | 1251 | 1698 | 1820 | 1862 | 3118 | 3159 | 4151 => Meaning::lasting(
            Misconfigured,
            "the database server refuses the user: check user name, password, host and TLS options",
        ),
        // NO_DB, BAD_DB
        1046 | 1049 => Meaning::lasting(
            Misconfigured,
            "there is no such database: create it (CREATE DATABASE), or correct the address",
        ),
        // DBACCESS_DENIED, TABLEACCESS_DENIED, COLUMNACCESS_DENIED, SPECIFIC_ACCESS_DENIED, PROCACCESS_DENIED
        1044 | 1142 | 1143 | 1227 | 1370 => Meaning::lasting(
            Misconfigured,
            "the user lacks a permission: GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX on the \
             database to it",
        ),
        // BAD_FIELD, WRONG_VALUE_COUNT_ON_ROW, NO_SUCH_TABLE
        1054 | 1136 | 1146 => Meaning::lasting(
            Misconfigured,
            "a table of the store is missing or was altered: check the database in the address, or restore \
             the tables from a backup",
        ),
        // NET_PACKET_TOO_LARGE
        1153 => Meaning::lasting(
            Misconfigured,
            "the database server takes no packet of this size: raise max_allowed_packet, and open the store \
             again",
        ),
        // BINLOG_STMT_MODE_AND_ROW_ENGINE
        1665 => Meaning::lasting(
            Misconfigured,
            "the server's binary log takes statements only: set binlog_format to ROW or MIXED",
        ),
        // TOO_LONG_KEY, TOO_BIG_ROWSIZE, ILLEGAL_HA_CREATE_OPTION, UNKNOWN_STORAGE_ENGINE
        1071 | 1118 | 1286 | 1478 => Meaning::lasting(
            Misconfigured,
            "the server does not take the store's tables: InnoDB with pages of 16 KiB is expected",
        ),
        // MAX_PREPARED_STMT_COUNT_REACHED
        1461 => Meaning::lasting(
            Unavailable,
            "the server has no room for prepared statements: raise max_prepared_stmt_count",
        ),
        // SYNTAX, PARSE, UNKNOWN_SYSTEM_VARIABLE, SP_DOES_NOT_EXIST, UNKNOWN_COLLATION
        1064 | 1149 | 1193 | 1273 | 1305 => Meaning::lasting(
            Incompatible,
            "the database server does not know a statement: MariaDB 10.6 or MySQL 8.0, or later, is expected",
        ),
        // NOT_KEYFILE, OLD_KEYFILE, NOT_FORM_FILE, CRASHED_ON_USAGE, CRASHED_ON_REPAIR, INDEX_CORRUPT,
        // TABLE_CORRUPT, NO_SUCH_TABLE_IN_ENGINE
        1032..=1035 | 1194 | 1195 | 1712 | 1877 | 1932 => {
            Meaning::lasting(Corrupt, "the database server finds its data damaged: restore a backup")
        }
        // DUP_ENTRY, BAD_NULL, foreign keys, DATA_TOO_LONG, out of range, wrong value, CHECK (MySQL, MariaDB)
        1048 | 1062 | 1216 | 1217 | 1264 | 1265 | 1366 | 1406 | 1451 | 1452 | 1586 | 3819 | 4025 => {
            Meaning::lasting(Corrupt, "the stored rows or tables contradict what this software writes")
        }
        _ => Meaning::lasting(Unavailable, "the database server failed: look at its log"),
    }
}
