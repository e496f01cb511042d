//! A SQLite file.

use std::fmt::Write as _;
use std::path::Path;

use i3_store_sql::{SqliteOptions, SqliteStore};
use rusqlite::Connection;

use crate::{check, fill, golden, wanted};

/// Everything in a file as SQL.
fn dump(file: &Path) -> String {
    let connection = Connection::open(file).unwrap();
    let list = |sql: &str| -> Vec<(String, String)> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut text = String::new();
    let own = "WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    for (_, sql) in list(&format!("SELECT name, sql FROM sqlite_schema {own} ORDER BY type DESC, name")) {
        writeln!(text, "{sql};").unwrap();
    }
    for (table, _) in
        list(&format!("SELECT name, type FROM sqlite_schema {own} AND type = 'table' ORDER BY name"))
    {
        let columns = list(&format!("SELECT name, type FROM pragma_table_info('{table}')"));
        let quoted: Vec<String> = columns.iter().map(|(name, _)| format!("quote(\"{name}\")")).collect();
        let values = quoted.join(" || ', ' || ");
        for (row, _) in list(&format!("SELECT {values}, '' FROM \"{table}\" ORDER BY 1")) {
            writeln!(text, "INSERT INTO \"{table}\" VALUES ({row});").unwrap();
        }
    }
    text
}

#[tokio::test]
async fn a_file_of_today_is_the_golden_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let store = SqliteStore::open(&file, SqliteOptions::default()).await.unwrap();
    fill(&store).await;
    drop(store);
    // The writer closes the file on its own thread.
    let dumped = || dump(&file);
    let mut today = dumped();
    for _ in 0..50 {
        if today.contains("written twice") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        today = dumped();
    }
    if wanted() {
        std::fs::write(golden("sqlite.sql"), &today).unwrap();
    }
    assert_eq!(today, std::fs::read_to_string(golden("sqlite.sql")).unwrap());
}

#[tokio::test]
async fn the_golden_file_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch(&std::fs::read_to_string(golden("sqlite.sql")).unwrap()).unwrap();
    drop(connection);
    let store = SqliteStore::open(&file, SqliteOptions::default()).await.unwrap();
    check(&store).await;
}
