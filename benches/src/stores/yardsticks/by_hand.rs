//! A purchase by hand on MariaDB: its statements one after another over plain connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::time::{Clock as _, SystemClock};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tokio::sync::Mutex;

use super::Yardstick;
use super::pgbench::{BUYERS, GROWING, TABLES};
use crate::callers::{Calls, closed_loop};
use crate::shop::ShopError;
use crate::stores::bars::BY_HAND;

/// Plain connections beside a store on the same server.
#[derive(Debug)]
pub(in crate::stores) struct ByHand {
    options: MySqlConnectOptions,
    /// No request is made twice.
    requests: Arc<AtomicU64>,
}

impl ByHand {
    /// Makes the tables in the empty database at this URL.
    pub(in crate::stores) async fn open(url: &str) -> Result<Self, ShopError> {
        let options: MySqlConnectOptions = url.parse()?;
        let tables = TABLES
            .replace("{text}", "varchar(200) CHARACTER SET ascii COLLATE ascii_bin")
            .replace("{number}", "bigint AUTO_INCREMENT PRIMARY KEY");
        let mut connection = options.connect().await?;
        connection.execute(AssertSqlSafe(tables)).await?;
        for buyer in 0..BUYERS {
            sqlx::query("INSERT INTO users VALUES (?, 'active', 'consumer')")
                .bind(format!("usr_{buyer}"))
                .execute(&mut connection)
                .await?;
        }
        Ok(Self { options, requests: Arc::default() })
    }
}

#[async_trait]
impl Yardstick for ByHand {
    fn name(&self) -> &'static str {
        BY_HAND
    }

    fn workload(&self) -> &'static str {
        "purchase"
    }

    fn beside(&self, callers: usize) -> Option<usize> {
        matches!(callers, 1 | 8 | 64).then_some(callers)
    }

    async fn fresh(&self) -> Result<(), ShopError> {
        let mut connection = self.options.connect().await?;
        for table in GROWING {
            connection.execute(AssertSqlSafe(format!("TRUNCATE TABLE {table}"))).await?;
        }
        connection
            .execute("INSERT INTO balances SELECT CONCAT('available:', id, ':EUR'), 1000000000000 FROM users")
            .await?;
        Ok(())
    }

    async fn measure(&self, connections: usize, time: Duration) -> Result<Calls, ShopError> {
        let mut open = Vec::new();
        for _ in 0..connections {
            let mut connection = self.options.connect().await?;
            connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
            open.push(Mutex::new(connection));
        }
        let (open, requests) = (Arc::new(open), Arc::clone(&self.requests));
        let calls = closed_loop::<_, _, ShopError>(connections, time, move |caller, _| {
            let open = Arc::clone(&open);
            let request = requests.fetch_add(1, Ordering::Relaxed);
            async move {
                let mut connection = open.get(caller).ok_or("a caller has no connection")?.lock().await;
                purchase(&mut connection, &format!("usr_{caller}"), request).await
            }
        })
        .await?;
        let mut connection = self.options.connect().await?;
        let check = "SELECT CAST((SELECT COUNT(*) FROM orders) * 2 = COUNT(*) AND SUM(amount) = 0 AS SIGNED) FROM ledger";
        match connection.fetch_one(check).await?.try_get::<Option<i64>, _>(0)? {
            Some(1) => Ok(calls),
            _ => Err("the books that were kept by hand do not balance".into()),
        }
    }
}

const TERMS: &str = "SELECT messages, price, currency, products.id, title, topic, hubs.id \
     FROM users, offers JOIN products ON products.id = offers.product JOIN hubs ON hubs.id = products.hub \
     WHERE users.id = ? AND users.state = 'active' AND offers.id = 'off_1' AND offers.state = 'published' \
     AND products.state = 'listed' AND hubs.state = 'active' \
     AND NOT EXISTS (SELECT 1 FROM members WHERE members.hub = hubs.id AND members.member = users.id)";

/// One transaction of eleven statements, which says so if it does not buy.
async fn purchase(connection: &mut MySqlConnection, buyer: &str, request: u64) -> Result<(), ShopError> {
    let now = SystemClock.now().micros();
    let (order, transfer) = (format!("ord_{now:020}{request:012}"), format!("trf_{now:020}{request:012}"));
    let (available, held) = (format!("available:{buyer}:EUR"), format!("held:{order}:EUR"));
    let mut transaction = connection.begin().await?;
    let terms = sqlx::query(TERMS).bind(buyer).fetch_one(&mut *transaction).await?;
    let (messages, price): (i64, i64) = (terms.try_get(0)?, terms.try_get(1)?);
    let text = |column| terms.try_get::<String, usize>(column);
    let (currency, product, title, topic, hub) = (text(2)?, text(3)?, text(4)?, text(5)?, text(6)?);
    let paid = sqlx::query("UPDATE balances SET n = n - ? WHERE account = ? AND n >= ?")
        .bind(price)
        .bind(&available)
        .bind(price)
        .execute(&mut *transaction)
        .await?;
    if paid.rows_affected() != 1 {
        return Err("a buyer has no money".into());
    }
    sqlx::query("INSERT INTO balances VALUES (?, ?)")
        .bind(&held)
        .bind(price)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO orders VALUES (?, ?, ?, ?, 'off_1', 'active', ?, ?, ?, ?, ?, ?)")
        .bind(&order)
        .bind(buyer)
        .bind(&product)
        .bind(&hub)
        .bind(&title)
        .bind(&topic)
        .bind(messages)
        .bind(price)
        .bind(&currency)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO grants VALUES (?, ?, ?, 'active', 0, NULL)")
        .bind(&order)
        .bind(buyer)
        .bind(&product)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO usages VALUES (?, 0, 0, ?, 0)")
        .bind(&order)
        .bind(price)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO ledger VALUES (?, 0, ?, ?, ?, ?, ?), (?, 1, ?, ?, ?, ?, ?)")
        .bind(&transfer)
        .bind(&available)
        .bind(&currency)
        .bind(-price)
        .bind(format!("hold {order}"))
        .bind(now)
        .bind(&transfer)
        .bind(&held)
        .bind(&currency)
        .bind(price)
        .bind(format!("hold {order}"))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO answers VALUES (?, ?, ?, ?)")
        .bind(buyer)
        .bind(request.to_string())
        .bind(&order)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO audit (actor, command, request, answer, at) VALUES (?, 'purchase', ?, ?, ?)")
        .bind(buyer)
        .bind(request.to_string())
        .bind(&order)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO outbox (event, at) VALUES (?, ?)")
        .bind(format!("purchased {order} {buyer} {product}"))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}
