//! What only a server can show: error numbers, settings, plans.

use i3_core::store::{
    BatchBuilder, Body, Collection, Column, Draft, Durability, Index, Key, Kind, Schema, Store,
    StoreErrorKind, StoreExt, Units, Value,
};
use i3_core::testkit::{Checked, Stop};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection};

use super::*;
use crate::testkit::{Durable, Mariadb, mariadb_or_skip, own_mariadb_or_skip};

static ORDERS: Collection = Collection {
    name: "orders",
    kind: Kind::Records,
    about: "what was bought; it's an \\ odd comment",
    columns: &[Column::text("seller"), Column::int("placed"), Column::text("state"), Column::text("place")],
    indexes: &[
        Index { name: "by_seller", columns: &["seller", "placed"] },
        Index { name: "by_all", columns: &["seller", "state", "place", "placed"] },
    ],
};
static STOCK: Collection =
    Collection { name: "stock", kind: Kind::Counters, about: "what is left", columns: &[], indexes: &[] };
static LOG: Collection =
    Collection { name: "log", kind: Kind::Streams, about: "what happened", columns: &[], indexes: &[] };

static REWORDED: Collection = Collection {
    name: "orders",
    kind: Kind::Records,
    about: "purchases",
    columns: ORDERS.columns,
    indexes: ORDERS.indexes,
};

fn schema() -> Result<Schema, Stop> {
    Ok(Schema::new(1, &[&ORDERS, &STOCK, &LOG])?)
}

/// With all the time that a slow machine may need.
fn patient() -> MysqlOptions {
    let long = Duration::from_mins(2);
    MysqlOptions {
        connect_timeout: long,
        lock_timeout: long,
        statement_timeout: 2 * long,
        ..MysqlOptions::default()
    }
}

async fn connected(url: &str) -> Result<MySqlConnection, Stop> {
    let options: sqlx::mysql::MySqlConnectOptions = url.parse()?;
    Ok(options.connect().await?)
}

/// What opening the store at this address fails with.
async fn refused(url: &str) -> Result<(StoreErrorKind, String), Stop> {
    match MysqlStore::open(url, patient()).await {
        Ok(_) => Err(Stop::broken("the store was opened")),
        Err(error) => Ok((error.kind(), format!("{error} {error:?}"))),
    }
}

fn sell(id: &str, by: i64) -> Result<i3_core::store::Batch, Stop> {
    let values = vec![Some(Value::from("s")), Some(Value::from(by)), None, None];
    Ok(BatchBuilder::new()
        .create(Draft::new(&ORDERS, id, values, "{}")?)
        .adjust(Key::new(&STOCK, "left")?, Units::new(-by)?, Units::MIN)
        .append(Key::new(&LOG, "all")?, Body::new("{}")?)
        .build()?)
}

#[tokio::test]
async fn every_error_number_has_its_kind_and_says_whether_to_try_again() -> Checked {
    use StoreErrorKind::{Busy, Corrupt, Incompatible, Misconfigured, Unavailable};
    let Some(server) = mariadb_or_skip("error numbers")? else { return Ok(()) };
    let url = server.database("error_numbers")?;
    let mut connection = connected(&url).await?;
    let kinds: &[(StoreErrorKind, bool, bool, &[u16])] = &[
        (Busy, true, false, &[1020, 1205, 1213, 1317, 1412, 1615]),
        (Busy, false, false, &[1969, 3024]),
        (Unavailable, true, true, &[1053, 1077, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031]),
        (Unavailable, false, false, &[3, 1021, 1026, 1030, 1037, 1040, 1041, 1114, 1203, 1226, 1461, 9999]),
        (
            Misconfigured,
            false,
            false,
            &[
                1044, 1045, 1046, 1049, 1054, 1071, 1118, 1129, 1130, 1142, 1143, 1146, 1153, 1227, 1290,
                1370, 1665, 1698, 1792, 1820, 1836, 3118, 3159,
            ],
        ),
        (Incompatible, false, false, &[1064, 1193, 1273, 1305]),
        (Corrupt, false, false, &[1034, 1062, 1194, 1264, 1366, 1406, 1451, 1877, 1932, 4025]),
    ];
    for (kind, again, lost, numbers) in kinds {
        for number in *numbers {
            let signal = format!("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}");
            let error = connection.execute(AssertSqlSafe(signal)).await.err();
            let failure = Failure::from(error.ok_or_else(|| Stop::broken("no error"))?);
            let found = (failure.told().kind(), failure.again(), failure.lost());
            assert_eq!(found, (*kind, *again, *lost), "{number}: {failure:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_address_says_what_is_wrong_and_tells_no_password() -> Checked {
    let Some(server) = mariadb_or_skip("wrong addresses")? else { return Ok(()) };
    server.execute("CREATE OR REPLACE USER geheimer@localhost IDENTIFIED BY 'hunter2'")?;
    let url = server.database("addresses")?;
    let as_user = |password: &str| url.replace("root@", &format!("geheimer:{password}@"));
    let gone = server.url("never_made");
    let closed = "mysql://u:hunter2@localhost/db?socket=/nowhere/s".to_owned();
    let cases = [
        (as_user("hunter3"), StoreErrorKind::Misconfigured, "refuses the user"),
        (as_user("hunter2"), StoreErrorKind::Misconfigured, "permission"),
        (gone, StoreErrorKind::Misconfigured, "no such database"),
        (closed, StoreErrorKind::Unavailable, "cannot be reached"),
    ];
    for (url, kind, words) in cases {
        let (found, told) = refused(&url).await?;
        assert_eq!(found, kind, "{told}");
        assert!(told.contains(words) && !told.contains("hunter"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_user_without_the_right_to_write_is_told_so() -> Checked {
    let Some(server) = mariadb_or_skip("permissions")? else { return Ok(()) };
    let url = server.database("permissions")?;
    let store = MysqlStore::open(&url, patient()).await?;
    store.prepare(&schema()?).await?;
    server.execute("CREATE OR REPLACE USER leser@localhost IDENTIFIED BY 'x'")?;
    let database = url.split(['/', '?']).nth(3).unwrap_or_default();
    // UPDATE, because the lock of the store's row asks for it.
    server.execute(&format!("GRANT SELECT, UPDATE ON {database}.* TO leser@localhost"))?;
    let reader = MysqlStore::open(&url.replace("root@", "leser:x@"), patient()).await?;
    reader.prepare(&schema()?).await?;
    let told = match reader.commit(&sell("a", 1)?).await {
        Err(CommitError::Store(error)) => error,
        other => return Err(Stop::broken(format_args!("{other:?}"))),
    };
    assert_eq!(told.kind(), StoreErrorKind::Misconfigured);
    assert!(told.to_string().contains("GRANT"), "{told}");
    assert_eq!(reader.counter(&Key::new(&STOCK, "left")?).await?, Units::ZERO);
    Ok(())
}

#[tokio::test]
async fn settings_of_the_server_decide_what_a_commit_survives_and_whether_it_can_be_used() -> Checked {
    let Some(server) = own_mariadb_or_skip("settings", Durable::Yes)? else { return Ok(()) };
    let url = server.database("settings")?;
    let open = || MysqlStore::open(&url, patient());
    let store = open().await?;
    store.prepare(&schema()?).await?;
    assert_eq!(store.durability(), Durability::PowerLoss);
    server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")?;
    assert_eq!(open().await?.durability(), Durability::ProcessCrash);

    server.execute("SET GLOBAL max_allowed_packet = 65536")?;
    let (kind, told) = refused(&url).await?;
    assert_eq!(kind, StoreErrorKind::Misconfigured);
    assert!(told.contains("max_allowed_packet"), "{told}");
    server.execute("SET GLOBAL max_allowed_packet = 16777216")?;

    // Other servers' habits do not matter to a session of ours.
    server.execute("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH'")?;
    server.execute("SET GLOBAL autocommit = 0")?;
    server.execute("SET GLOBAL character_set_server = 'latin1'")?;
    let strange = open().await?;
    strange.prepare(&schema()?).await?;
    strange.commit(&sell("it's\\strange", 1)?).await?;
    let (rows, _): (Vec<_>, _) = {
        let scan = Scan::index(&ORDERS, "by_seller", vec![Value::from("s")])?;
        let page = store.scan(&scan).await?;
        (page.rows, page.next)
    };
    assert_eq!(rows.len(), 1);

    let user = "CREATE USER plain@localhost IDENTIFIED BY 'x'; GRANT ALL ON *.* TO plain@localhost; \
                REVOKE SUPER, READ ONLY ADMIN ON *.* FROM plain@localhost; SET GLOBAL read_only = 1";
    for statement in user.split("; ") {
        server.execute(statement)?;
    }
    let plain = MysqlStore::open(&url.replace("root@", "plain:x@"), patient()).await?;
    plain.prepare(&schema()?).await?;
    let Err(CommitError::Store(told)) = plain.commit(&sell("b", 1)?).await else {
        return Err(Stop::broken("a read-only server took a commit"));
    };
    assert_eq!((told.kind(), told.applied()), (StoreErrorKind::Misconfigured, i3_core::store::Applied::No));
    assert!(told.to_string().contains("read_only"), "{told}");
    Ok(())
}

#[tokio::test]
async fn data_of_a_newer_format_and_tables_of_others_are_refused() -> Checked {
    let Some(server) = mariadb_or_skip("formats")? else { return Ok(()) };
    let url = server.database("formats")?;
    let store = MysqlStore::open(&url, patient()).await?;
    let mut other = connected(&url).await?;
    other.execute("CREATE TABLE stock (id INT PRIMARY KEY, pieces INT)").await?;
    let Err(told) = store.prepare(&schema()?).await else { return Err(Stop::broken("it was taken over")) };
    assert_eq!(told.kind(), StoreErrorKind::Misconfigured);
    assert!(told.to_string().contains("`stock`"), "{told}");
    other.execute("DROP TABLE stock").await?;
    store.prepare(&schema()?).await?;

    other.execute("UPDATE _i3_store SET format = 2").await?;
    let (kind, told) = refused(&url).await?;
    assert_eq!(kind, StoreErrorKind::Incompatible, "{told}");
    Ok(())
}

#[tokio::test]
async fn a_preparation_that_was_cut_short_is_finished_by_the_next() -> Checked {
    let Some(server) = mariadb_or_skip("cut short")? else { return Ok(()) };
    let url = server.database("cut_short")?;
    let mut other = connected(&url).await?;
    MysqlStore::open(&url, patient()).await?.close().await?;
    // As if the process had died before the store's row.
    other.execute("DELETE FROM _i3_store").await?;
    let store = MysqlStore::open(&url, patient()).await?;
    store.prepare(&schema()?).await?;
    // As if it had died between a table and the note that it is there.
    other.execute("DELETE FROM _i3_collections WHERE name <> 'log'").await?;
    other.execute("DROP TABLE orders").await?;
    store.close().await?;
    let store = MysqlStore::open(&url, patient()).await?;
    store.prepare(&schema()?).await?;
    store.commit(&sell("a", 1)?).await?;
    assert_eq!(store.counter(&Key::new(&STOCK, "left")?).await?, Units::new(-1)?);

    other.execute("DELETE FROM _i3_store").await?;
    let (kind, told) = refused(&url).await?;
    assert_eq!(kind, StoreErrorKind::Corrupt, "{told}");
    Ok(())
}

#[tokio::test]
async fn several_processes_may_prepare_at_the_same_time() -> Checked {
    let Some(server) = mariadb_or_skip("together")? else { return Ok(()) };
    let url = server.database("prepare_together")?;
    let mut opened = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (url, schema) = (url.clone(), schema()?);
        opened.spawn(async move {
            let store = MysqlStore::open(&url, patient()).await?;
            store.prepare(&schema).await?;
            store.close().await
        });
    }
    while let Some(done) = opened.join_next().await {
        done??;
    }
    Ok(())
}

#[tokio::test]
async fn tables_have_types_and_words_that_an_operator_can_read() -> Checked {
    let Some(server) = mariadb_or_skip("tables")? else { return Ok(()) };
    let url = server.database("tables")?;
    let store = MysqlStore::open(&url, patient()).await?;
    store.prepare(&schema()?).await?;
    store.commit(&sell("a", 7)?).await?;
    let mut other = connected(&url).await?;
    let row = sqlx::query("SELECT placed, seller = 's', version, body FROM orders WHERE id = 'a'")
        .fetch_one(&mut other)
        .await?;
    let found: (i64, bool, i64, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    assert_eq!(found, (7, true, 1, "{}".to_owned()));
    let comment = "SELECT TABLE_COMMENT FROM information_schema.TABLES \
                   WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'orders'";
    let row = sqlx::query(comment).fetch_one(&mut other).await?;
    assert_eq!(row.try_get::<String, _>(0)?, "what was bought; it\u{2019}s an / odd comment");
    store.prepare(&Schema::new(1, &[&REWORDED, &STOCK, &LOG])?).await?;
    let row = sqlx::query(comment).fetch_one(&mut other).await?;
    assert_eq!(row.try_get::<String, _>(0)?, "purchases");
    Ok(())
}

/// The plan of a scan: what `EXPLAIN` says of each table, as `table type key Extra`.
async fn explained(connection: &mut MySqlConnection, scan: &Scan) -> Result<Vec<String>, Stop> {
    let query = plan_for(Dialect::Mysql, scan).ok_or_else(|| Stop::broken("no plan"))?;
    let sql = format!("EXPLAIN {}", query.sql);
    let mut asked = sqlx::query(AssertSqlSafe(sql));
    for bind in query.binds {
        asked = match bind {
            Bind::Text(text) => asked.bind(text),
            Bind::Int(number) => asked.bind(number),
        };
    }
    let text = |row: &MySqlRow, name: &str| row.try_get::<Option<String>, _>(name).ok().flatten();
    let rows = asked.fetch_all(connection).await?;
    let told = |row: &MySqlRow| {
        let columns = ["table", "type", "key", "Extra"];
        columns.map(|name| text(row, name).unwrap_or_default()).join(" ")
    };
    Ok(rows.iter().map(told).collect())
}

#[tokio::test]
async fn every_scan_is_answered_by_an_index_in_its_order() -> Checked {
    let Some(server) = mariadb_or_skip("plans")? else { return Ok(()) };
    let url = server.database("plans")?;
    let store = MysqlStore::open(&url, patient()).await?;
    store.prepare(&schema()?).await?;
    let mut other = connected(&url).await?;
    for statement in [
        "INSERT INTO orders SELECT CONCAT('o', seq), seq, CONCAT('s', seq % 50), seq, 'open', 'here', '{}' \
         FROM seq_1_to_5000",
        "INSERT INTO log SELECT CONCAT('l', seq % 20), seq DIV 20 + 1, '{}', SHA2(seq, 256) FROM seq_0_to_4999",
        "ANALYZE TABLE orders, log",
    ] {
        other.execute(statement).await?;
    }
    let seller = || vec![Value::from("s7")];
    let by_seller = || Scan::index(&ORDERS, "by_seller", seller());
    let after = || Cursor::after_indexed(vec![Value::from("s7"), Value::from(3007)], "o3007");
    let all = Scan::index(&ORDERS, "by_all", Vec::new())?;
    let scans = [
        Scan::ids(&ORDERS),
        Scan::prefix(&ORDERS, "o1").after(Cursor::after_id("o12"))?,
        by_seller()?,
        by_seller()?.backward(),
        by_seller()?.after(after())?,
        by_seller()?.backward().after(after())?,
        by_seller()?.range(Some(Value::from(1000)), Some(Value::from(4000)))?,
        all.clone(),
        all.after(Cursor::after_indexed(
            vec![Value::from("s7"), Value::from("open"), Value::from("here"), Value::from(3007)],
            "o3007",
        ))?,
        Scan::entries(Key::new(&LOG, "l3")?)?,
        Scan::entries(Key::new(&LOG, "l3")?)?.backward().after(Cursor::after_position(100))?,
    ];
    for scan in scans.iter().flat_map(|scan| [scan.clone(), scan.clone().limit(2)]) {
        let plan = explained(&mut other, &scan).await?;
        let seeks = plan.iter().all(|line| !line.contains("filesort") && !line.contains(" ALL "));
        assert!(seeks, "{scan:?}: {plan:#?}");
    }
    let ends = explained(&mut other, &Scan::ids(&LOG)).await?;
    assert!(ends.iter().any(|line| line.contains("Using index for group-by")), "{ends:#?}");
    let _ = other.close().await;
    let page = store.scan(&Scan::ids(&LOG).limit(3)).await?;
    assert_eq!(page.rows.len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_page_from_the_middle_of_equal_rows_reads_no_more_than_the_page() -> Checked {
    let Some(server) = mariadb_or_skip("middle")? else { return Ok(()) };
    let url = server.database("middle")?;
    let store = MysqlStore::open(&url, patient()).await?;
    store.prepare(&schema()?).await?;
    let mut other = connected(&url).await?;
    let rows =
        "INSERT INTO orders SELECT CONCAT('o', seq), seq, 's', seq, 'open', 'here', '{}' FROM seq_1_to_5000";
    other.execute(rows).await?;
    let middle = || Cursor::after_indexed(vec![Value::from("s"), Value::from(2500)], "o2500");
    let scan = Scan::index(&ORDERS, "by_seller", vec![Value::from("s")])?.limit(50);
    for scan in [scan.clone().after(middle())?, scan.backward().after(middle())?] {
        other.execute("FLUSH STATUS").await?;
        let query = plan_for(Dialect::Mysql, &scan).ok_or_else(|| Stop::broken("no plan"))?;
        let mut asked = sqlx::query(AssertSqlSafe(query.sql));
        for bind in query.binds {
            asked = match bind {
                Bind::Text(text) => asked.bind(text),
                Bind::Int(number) => asked.bind(number),
            };
        }
        assert_eq!(asked.fetch_all(&mut other).await?.len(), 51);
        let status = "SELECT CAST(SUM(VARIABLE_VALUE) AS SIGNED) FROM information_schema.SESSION_STATUS \
                      WHERE VARIABLE_NAME IN ('HANDLER_READ_KEY', 'HANDLER_READ_NEXT', 'HANDLER_READ_PREV')";
        let read: i64 = sqlx::query(status).fetch_one(&mut other).await?.try_get(0)?;
        assert!(read < 80, "{read} rows were read for {scan:?}");
    }
    Ok(())
}

#[test]
fn the_shared_server_is_one() -> Checked {
    let (Some(one), Some(two)) = (mariadb_or_skip("one")?, mariadb_or_skip("two")?) else { return Ok(()) };
    assert!(std::ptr::eq::<Mariadb>(one, two));
    Ok(())
}
