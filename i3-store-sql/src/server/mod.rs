//! What the stores over a database server share: everything but the SQL.
//!
//! One thread of a store gathers waiting batches and commits them as one group over a connection of its
//! own ([`Writer`]); an [`Engine`] of the dialect does what only it knows. Reads run on the dialect's pool.
//!
//! Several processes may share a database. What they decide is kept apart by one row, `_i3_store`, whose
//! `clock` counts the batches that were committed: a group is written only while the clock stands where it
//! stood when the group's keys were read. Versions are numbers of that clock.
//!
//! | stored | PostgreSQL | MySQL and MariaDB |
//! | --- | --- | --- |
//! | id | `text COLLATE "C"` | `VARCHAR(200)`, `ascii`, `ascii_bin` |
//! | text column | `text COLLATE "C"` | `VARBINARY(255)` |
//! | integer, version, position, counter | `bigint` | `BIGINT` |
//! | body | `text` | `MEDIUMTEXT`, `utf8mb4` |
//! | link (hexadecimal) | `text COLLATE "C"` | `CHAR(64)`, `ascii` |
//! | what a table is for | `COMMENT ON` | `COMMENT` |
//! | list of rows in one statement | `unnest` of arrays | rows of values |
//! | store or overwrite a record | `INSERT`, or `UPDATE` of one that is known to be there | `ON DUPLICATE KEY UPDATE` |
//! | the clock stands still | its `UPDATE` finds the number that was read; after a miss, `FOR UPDATE` | `FOR UPDATE` |
//! | one process migrates at a time | `pg_advisory_xact_lock` | `GET_LOCK` |

mod catalog;
mod decide;
mod failure;
mod retry;
mod rows;
mod schema;
mod writer;

pub(crate) use catalog::Catalog;
#[cfg(feature = "mysql")]
pub(crate) use catalog::Wanted;
pub(crate) use decide::{Answers, Decided, Engine, GroupError, Stored, decide};
pub(crate) use failure::{Failure, Meaning};
pub(crate) use retry::Retry;
pub(crate) use rows::{Found, Scanned, cells, page};
pub(crate) use schema::{changed, check_revision};
pub use writer::ServerStats;
pub(crate) use writer::Writer;
