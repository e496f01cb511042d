//! Databases on servers, written by the servers' own dump programs. The dump differs from version to version of
//! those, so what is compared are columns, indexes and rows.

use std::process::Command;
use std::time::Duration;

use i3_core::store::Store;
use i3_store_sql::testkit::{mariadb_or_skip, postgres_or_skip};
use i3_store_sql::{MysqlOptions, MysqlStore, PostgresOptions, PostgresStore};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _};

use crate::{check, fill, golden, wanted};

/// How long a server may take to let us in, on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a dump program says, without comments, settings and commands of its own client.
fn dumped(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let own = |line: &&str| {
        !["--", "\\", "/*", "SET ", "SELECT pg_catalog"].iter().any(|start| line.starts_with(start))
            && !line.is_empty()
    };
    let lines: Vec<&str> = text.lines().filter(own).collect();
    lines.join("\n") + "\n"
}

const POSTGRES_SHAPE: &str = "SELECT concat_ws(' ', table_name, ordinal_position, column_name, data_type, \
     collation_name, is_nullable) FROM information_schema.columns WHERE table_schema = 'public' \
     UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
     UNION ALL SELECT concat_ws(' ', name, about, description) FROM public._i3_collections \
     UNION ALL SELECT concat_ws(' ', format, revision, clock) FROM public._i3_store ORDER BY 1";

async fn postgres_shape(url: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let rows = connection.fetch_all(POSTGRES_SHAPE).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_golden_database_of_postgresql_is_as_today_s_is_read_and_goes_on() {
    let Some(server) = tokio::task::block_in_place(|| postgres_or_skip("golden")).unwrap() else { return };
    let fresh = tokio::task::block_in_place(|| server.database("golden_today")).unwrap();
    let store = PostgresStore::open(
        &fresh,
        PostgresOptions { connect_timeout: PATIENCE, ..PostgresOptions::default() },
    )
    .await
    .unwrap();
    fill(&store).await;
    store.close().await.unwrap();
    if wanted() {
        let text =
            dumped(Command::new("pg_dump").args(["--inserts", "--no-owner", "--no-privileges"]).arg(&fresh));
        std::fs::write(golden("postgres.sql"), text).unwrap();
    }
    let url = tokio::task::block_in_place(|| server.database("golden")).unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let text = std::fs::read_to_string(golden("postgres.sql")).unwrap();
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(postgres_shape(&url).await, postgres_shape(&fresh).await);
    let store = PostgresStore::open(
        &url,
        PostgresOptions { connect_timeout: PATIENCE, ..PostgresOptions::default() },
    )
    .await
    .unwrap();
    check(&store as &dyn Store).await;
    store.close().await.unwrap();
}

const MARIADB_SHAPE: &str = "SELECT CONCAT_WS(' ', TABLE_NAME, ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, \
     COLLATION_NAME, IS_NULLABLE) AS line FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
     UNION ALL SELECT CONCAT_WS(' ', TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME) \
     FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() \
     UNION ALL SELECT CONCAT_WS(' ', name, about, description) FROM _i3_collections \
     UNION ALL SELECT CONCAT_WS(' ', format, revision, clock) FROM _i3_store ORDER BY 1";

async fn mariadb_shape(url: &str) -> Vec<String> {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let rows = connection.fetch_all(MARIADB_SHAPE).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_golden_database_of_mariadb_is_as_today_s_is_read_and_goes_on() {
    let Some(server) = tokio::task::block_in_place(|| mariadb_or_skip("golden")).unwrap() else { return };
    let fresh = tokio::task::block_in_place(|| server.database("golden_today")).unwrap();
    let store =
        MysqlStore::open(&fresh, MysqlOptions { connect_timeout: PATIENCE, ..MysqlOptions::default() })
            .await
            .unwrap();
    fill(&store).await;
    store.close().await.unwrap();
    if wanted() {
        let folder = server.folder().unwrap();
        let socket = format!("--socket={}", folder.join("s").display());
        let address = fresh.split('?').next().unwrap();
        let name = address.rsplit('/').next().unwrap();
        let mut dump = Command::new("mariadb-dump");
        dump.args([
            "--no-defaults",
            "--user=root",
            &socket,
            "--compact",
            "--hex-blob",
            "--skip-extended-insert",
        ]);
        std::fs::write(golden("mariadb.sql"), dumped(dump.arg(name))).unwrap();
    }
    let url = tokio::task::block_in_place(|| server.database("golden")).unwrap();
    let mut connection = MySqlConnection::connect(&url).await.unwrap();
    let text = std::fs::read_to_string(golden("mariadb.sql")).unwrap();
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(mariadb_shape(&url).await, mariadb_shape(&fresh).await);
    let store = MysqlStore::open(&url, MysqlOptions { connect_timeout: PATIENCE, ..MysqlOptions::default() })
        .await
        .unwrap();
    check(&store as &dyn Store).await;
    store.close().await.unwrap();
}
