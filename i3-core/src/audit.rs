//! The audit log: every command that had an effect, in one hash chain.
//!
//! The store links every entry to the one before ([`Digest::link`]), so whoever keeps one link can
//! prove that nothing before it was changed, dropped or added.
//!
//! An entry holds what the command's rule was given, not what it did: that follows. So the log is small, and
//! carrying its commands out again in an empty store gives the same records, counters and streams, but for
//! secrets, which are in no entry: see [`replay`](crate::market::replay).

use serde::{Deserialize, Serialize};

use crate::access::Actor;
use crate::id::{ClientId, IdBits};
use crate::market::Settings;
use crate::store::{
    Collection, Digest, Key, Kind, Row, Scan, Store, StoreError, StoreErrorKind, Units, limits,
};
use crate::time::Timestamp;

/// A command that had an effect, and all that its rule was given beside what was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct AuditEntry<C = serde_json::Value> {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// The program that acted for them, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
    /// What, by the command's name.
    pub command: String,
    /// The command itself, without secrets.
    pub request: C,
    /// Its idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The fresh ids that it was given, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<IdBits>,
    /// What counters told it, in order. They are not guarded: at the commit they may have held more or less.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<Units>,
    /// Which of its questions to the policy were answered with no, counted from zero, though it went
    /// through: a visitor who registers may not manage users, for instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<usize>,
    /// The settings that it asked for, if it did and they were not the default ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
}

/// The audit log's stream.
pub(crate) static AUDIT: Collection = Collection {
    name: "audit",
    kind: Kind::Streams,
    about: "every command that had an effect, in one hash chain",
    columns: &[],
    indexes: &[],
};

/// The one stream of the audit log.
pub fn stream() -> Result<Key, StoreError> {
    Key::new(&AUDIT, "commands").map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "the audit log has no key").with_source(error)
    })
}

/// The result of checking a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ChainReport {
    /// How many entries were checked.
    pub entries: u64,
    /// The link of the last one: keep it to prove later that all of these were there.
    pub link: Digest,
    /// The first entry whose number or link is wrong.
    pub broken_at: Option<u64>,
}

/// Walks a stream from its start and checks every number and link.
pub async fn verify_chain(store: &dyn Store, stream: Key) -> Result<ChainReport, StoreError> {
    let foreign =
        |error| StoreError::new(StoreErrorKind::Corrupt, "the stream cannot be walked").with_source(error);
    let mut report = ChainReport { entries: 0, link: Digest::START, broken_at: None };
    let mut scan = Scan::entries(stream).map_err(foreign)?.limit(limits::PAGE_ROWS);
    loop {
        let page = store.scan(&scan).await?;
        for row in page.rows {
            let Row::Entry { position, body, link } = row else { continue };
            let expected = report.entries.saturating_add(1);
            if position != expected || link != Digest::link(&report.link, position, body.as_str()) {
                report.broken_at = Some(expected);
                return Ok(report);
            }
            report.entries = position;
            report.link = link;
        }
        let Some(next) = page.next else { return Ok(report) };
        scan = scan.after(next).map_err(foreign)?;
    }
}
