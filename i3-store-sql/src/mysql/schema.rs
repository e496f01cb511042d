//! What the database says about itself, and how it comes to hold the declared tables.
//!
//! A statement that defines something commits at once, so there are no transactions here: every step may be
//! repeated, and one process at a time takes them.

use std::collections::HashMap;

use i3_core::store::{Collection, ColumnKind, Kind, Schema, StoreErrorKind};
use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::connect::Target;
use super::sql::{literal, named};
use crate::scan::joined;
use crate::server::{Failure, Meaning, changed, check_revision};

/// The layout of the tables that this software writes.
const FORMAT: i64 = 1;
/// How long another process may take for its steps, in seconds.
const TURN: u32 = 10;

/// Names with a leading underscore cannot be names of collections.
const OWN_TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS `_i3_store` (\
       `one` TINYINT NOT NULL PRIMARY KEY CHECK (`one` = 1), \
       `format` BIGINT NOT NULL COMMENT 'the layout of the tables', \
       `revision` BIGINT NOT NULL COMMENT 'the schema''s', \
       `clock` BIGINT NOT NULL COMMENT 'batches committed so far: the last version that was given'\
     ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='I3: one row about the store; its lock orders commits'",
    "CREATE TABLE IF NOT EXISTS `_i3_collections` (\
       `name` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, \
       `about` TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, \
       `description` MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL \
         COMMENT 'JSON: kind, columns, indexes'\
     ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='I3: the collections, each a table of its name'",
    "INSERT IGNORE INTO `_i3_store` (`one`, `format`, `revision`, `clock`) VALUES (1, 1, 0, 0)",
];

/// Makes the database a store, or checks that it is one that this software can use. A user who may not create
/// tables can use a store that is there.
pub(super) async fn adopt(target: &Target, connection: &mut MySqlConnection) -> Result<(), Failure> {
    let there = "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('_i3_store', '_i3_collections')";
    let row = first(target.run(connection, there.to_owned()).await?)?;
    if row.try_get::<String, _>(0)? != "2" {
        in_turn(target, connection, create_own).await?;
    }
    let question = "SELECT `format` FROM `_i3_store`; SELECT COUNT(*) FROM `_i3_collections`";
    let rows = target.run(connection, question.to_owned()).await?;
    let numbers = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, sqlx::Error>>()?;
    let format = match numbers.as_slice() {
        [format, _] => *format,
        // The process that made the tables was stopped before their row.
        [0] => {
            in_turn(target, connection, create_own).await?;
            FORMAT
        }
        _ => return Err(Failure::corrupt("the row about the store itself is missing: restore `_i3_store`")),
    };
    if format != FORMAT {
        let message =
            format!("the store has format {format}, this program knows format {FORMAT}: use a newer version");
        return Err(Failure::new(StoreErrorKind::Incompatible, message));
    }
    Ok(())
}

async fn create_own(target: &Target, connection: &mut MySqlConnection) -> Result<(), Failure> {
    for statement in OWN_TABLES {
        target.run(connection, statement.to_owned()).await?;
    }
    Ok(())
}

/// Creates what the schema names and is missing. A stored collection stays as it is.
pub(super) async fn prepare(
    target: &Target,
    connection: &mut MySqlConnection,
    schema: &Schema,
) -> Result<(), Failure> {
    in_turn(target, connection, async |target, connection| {
        let row = first(target.run(connection, "SELECT `revision` FROM `_i3_store`".to_owned()).await?)?;
        let revision: i64 = row.try_get(0)?;
        check_revision(revision, schema)?;
        let stored = "SELECT `name`, `description`, `about` FROM `_i3_collections`";
        let mut descriptions = HashMap::new();
        for row in target.run(connection, stored.to_owned()).await? {
            descriptions.insert(row.try_get::<String, _>(0)?, (row.try_get(1)?, row.try_get(2)?));
        }
        for (collection, description) in changed(schema, &descriptions)? {
            if descriptions.contains_key(collection.name) {
                let comment = comment(collection.about);
                let reworded = format!("ALTER TABLE {} COMMENT={comment}", named(collection.name));
                target.run(connection, reworded).await?;
            } else {
                target.run(connection, definition(collection)).await?;
                check_columns(target, connection, collection).await?;
            }
            // Last, so that a stored description says that the table is there.
            let mut note =
                "INSERT INTO `_i3_collections` (`name`, `about`, `description`) VALUES (".to_owned();
            literal(&mut note, collection.name);
            note.push(',');
            literal(&mut note, collection.about);
            note.push(',');
            literal(&mut note, &description);
            note.push_str(
                ") ON DUPLICATE KEY UPDATE `about` = VALUES(`about`), `description` = VALUES(`description`)",
            );
            target.run(connection, note).await?;
        }
        if revision < i64::from(schema.revision()) {
            let text = format!("UPDATE `_i3_store` SET `revision` = {}", schema.revision());
            target.run(connection, text).await?;
        }
        Ok(())
    })
    .await
}

/// Does this while no other process does the like on this database.
async fn in_turn(
    target: &Target,
    connection: &mut MySqlConnection,
    steps: impl AsyncFnOnce(&Target, &mut MySqlConnection) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // Locks are the server's, not the database's; their names have at most 64 characters.
    let name = "CONCAT('i3:', MD5(DATABASE()))";
    let row = first(target.run(connection, format!("SELECT CAST(GET_LOCK({name}, {TURN}) AS CHAR)")).await?)?;
    if row.try_get::<Option<String>, _>(0)?.as_deref() != Some("1") {
        return Err(Failure::of(Meaning::passing(
            StoreErrorKind::Busy,
            "another process has been preparing the database for long: wait for it, or end it",
        )));
    }
    let done = steps(target, connection).await;
    // If this fails, the connection is lost, and the lock with it.
    let released = target.run(connection, format!("DO RELEASE_LOCK({name})")).await;
    done.and(released.map(drop))
}

fn first(rows: Vec<MySqlRow>) -> Result<MySqlRow, Failure> {
    rows.into_iter().next().ok_or_else(|| Failure::corrupt("a row about the store itself is missing"))
}

/// The statement that creates a collection's table with its indexes.
///
/// Texts of columns are `VARBINARY`: compared by bytes on every server, without ignoring spaces at the end,
/// and short enough for four of them and an id in one index (3072 bytes).
fn definition(collection: &Collection) -> String {
    let id = "`id` VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL";
    let body = "`body` MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";
    let kind_of = |kind| match kind {
        ColumnKind::Text => "VARBINARY(255)",
        ColumnKind::Int => "BIGINT",
    };
    let columns = match collection.kind {
        Kind::Records => {
            let lifted = joined(collection.columns, "", |column| {
                format!("{} {}, ", named(column.name), kind_of(column.kind))
            });
            let indexes = joined(collection.indexes, "", |index| {
                let columns = joined(index.columns, "", |column| format!("{}, ", named(column)));
                format!(", INDEX {} ({columns}`id`)", named(index.name))
            });
            format!("{id}, `version` BIGINT NOT NULL, {lifted}{body}, PRIMARY KEY (`id`){indexes}")
        }
        Kind::Counters => format!("{id}, `n` BIGINT NOT NULL, PRIMARY KEY (`id`)"),
        Kind::Streams => format!(
            "{id}, `position` BIGINT NOT NULL, {body}, \
             `link` CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, PRIMARY KEY (`id`, `position`)"
        ),
    };
    let comment = comment(collection.about);
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({columns}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT={comment}",
        named(collection.name)
    )
}

/// Words about a table as the text literal that a comment must be, of at most 2048 characters. Words that
/// would end the literal early are written with another apostrophe.
fn comment(about: &str) -> String {
    let plain = |c: char| match c {
        '\'' => '\u{2019}',
        '\\' => '/',
        c if c.is_control() => ' ',
        c => c,
    };
    format!("'{}'", about.chars().map(plain).take(1000).collect::<String>())
}

/// A table that was there before must be one that we made, and not another program's of the same name.
async fn check_columns(
    target: &Target,
    connection: &mut MySqlConnection,
    collection: &Collection,
) -> Result<(), Failure> {
    let mut question = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
                        AND TABLE_NAME = "
        .to_owned();
    literal(&mut question, collection.name);
    let rows = target.run(connection, question).await?;
    let mut found = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, sqlx::Error>>()?;
    let mut wanted: Vec<&str> = match collection.kind {
        Kind::Records => vec!["id", "version", "body"],
        Kind::Counters => vec!["id", "n"],
        Kind::Streams => vec!["id", "position", "body", "link"],
    };
    wanted.extend(collection.columns.iter().map(|column| column.name));
    found.sort_unstable();
    wanted.sort_unstable();
    if found == wanted {
        return Ok(());
    }
    let message = format!(
        "the database has a table `{}` of another program: give the store a database of its own",
        collection.name
    );
    Err(Failure::new(StoreErrorKind::Misconfigured, message))
}
