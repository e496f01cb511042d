//! From an address to connections.

use std::str::FromStr;
use std::time::Duration;

use i3_core::store::StoreErrorKind;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use super::PostgresOptions;
use crate::server::{Failure, Meaning};

/// How connections are made. Knows the password, so it is not for output.
#[derive(Clone)]
pub(super) struct Target {
    common: PgConnectOptions,
    /// The schema that the tables are in, if the address or the options name one.
    pub(super) schema: Option<String>,
    pub(super) connect_timeout: Duration,
}

impl Target {
    /// Where `url` leads. The parameter `schema` is ours, all others are sqlx's.
    pub(super) fn of(url: &str, options: &PostgresOptions) -> Result<Self, Failure> {
        let (url, schema) = without_schema(url)?;
        let schema = schema.or_else(|| options.schema.clone());
        // sqlx's error may quote what it did not understand, which may be the password.
        let mut common = PgConnectOptions::from_str(&url).map_err(|_| {
            let message = "not an address of a PostgreSQL database: \
                           postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require is expected, \
                           with special characters percent-encoded";
            Failure::new(StoreErrorKind::Misconfigured, message)
        })?;
        if common.get_application_name().is_none() {
            common = common.application_name(&options.application_name);
        }
        let milliseconds = |time: Duration| time.as_millis().to_string();
        common = common.disable_statement_logging().options([
            ("statement_timeout", milliseconds(options.statement_timeout)),
            // Whoever holds the clock's row and does not go on is put out.
            ("idle_in_transaction_session_timeout", milliseconds(options.statement_timeout)),
            ("default_transaction_isolation", "read committed".to_owned()),
            // Every statement of ours is answered by an index, in the index's order. What the planner would
            // choose instead, for a table that was small when it looked, is right only for a while.
            ("enable_seqscan", "off".to_owned()),
            ("enable_sort", "off".to_owned()),
            ("enable_bitmapscan", "off".to_owned()),
            // For the same reason one plan does for all values.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("jit", "off".to_owned()),
        ]);
        if let Some(wait) = options.synchronous_commit {
            common = common.options([("synchronous_commit", if wait { "on" } else { "off" })]);
        }
        if let Some(schema) = &schema {
            check_schema(schema)?;
            common = common.options([("search_path", schema)]);
        }
        Ok(Self { common, schema, connect_timeout: options.connect_timeout })
    }

    /// For the pool.
    pub(super) fn reading(&self) -> PgConnectOptions {
        self.common.clone()
    }

    /// The writer's connection.
    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        let options = self.common.clone().statement_cache_capacity(WRITER_TEXTS);
        match tokio::time::timeout(self.connect_timeout, options.connect()).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Failure::of(Meaning::lost(
                "the database did not let us in within the time limit: check that it runs, and its address",
            ))),
        }
    }
}

/// Texts that the writer keeps prepared; each takes about a hundred kilobytes of the server's memory.
const WRITER_TEXTS: usize = 128;

/// The address without the parameter `schema`, and that.
fn without_schema(url: &str) -> Result<(String, Option<String>), Failure> {
    let Some((place, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let mut schema = None;
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("schema", _)) if schema.is_some() => {
                let message = "the database's address names two schemas";
                return Err(Failure::new(StoreErrorKind::Misconfigured, message));
            }
            Some(("schema", name)) => schema = Some(name.to_owned()),
            _ => rest.push(pair),
        }
    }
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    Ok((format!("{place}{query}"), schema))
}

/// Only names that need no quoting anywhere.
fn check_schema(name: &str) -> Result<(), Failure> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase()) && !name.starts_with("pg_");
    if plain && starts && name.len() <= 63 {
        return Ok(());
    }
    let message = "a schema's name has at most 63 lower-case letters, digits and underscores, begins with \
                   a letter and not with `pg_`";
    Err(Failure::new(StoreErrorKind::Misconfigured, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, Failure> {
        Target::of(url, &PostgresOptions::default())
    }

    #[test]
    fn the_schema_is_taken_out_of_the_address() {
        let with =
            target("postgres://u:p@h/d?sslmode=disable&schema=shop&application_name=till").ok().unwrap();
        assert_eq!(with.schema.as_deref(), Some("shop"));
        assert_eq!(with.common.get_application_name(), Some("till"));
        assert!(with.common.get_options().unwrap().contains("search_path=shop"));
        let without = target("postgres://u:p@h/d").ok().unwrap();
        assert_eq!((without.schema, without.common.get_application_name()), (None, Some("i3")));
    }

    #[test]
    fn a_schema_that_would_need_quotes_is_refused() {
        for name in ["", "Shop", "pg_shop", "1", "a-b", "a;b", "a\"b", "a,b", "a%20b"] {
            let refused = target(&format!("postgres://h/d?schema={name}")).err();
            assert_eq!(
                refused.map(|failure| failure.told().kind()),
                Some(StoreErrorKind::Misconfigured),
                "{name}"
            );
        }
    }

    #[test]
    fn an_address_that_is_not_understood_is_told_without_the_password() {
        for url in [
            "postgres://u:geheim@h:geheim/d",
            "postgres://u:geheim@h/d?sslmode=geheim",
            "postgres:geheim",
            "geheim",
        ] {
            let Some(failure) = target(url).err() else { continue };
            let told = failure.told();
            assert_eq!(told.kind(), StoreErrorKind::Misconfigured);
            assert!(!format!("{told} {told:?}").contains("geheim"), "{told:?}");
        }
        assert!(target("postgres://u:geheim@h:geheim/d").is_err());
    }
}
