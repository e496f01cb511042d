//! For those who run the marketplace.

use std::collections::BTreeMap;

use i3_core::audit::{AuditEntry, ChainReport};
use i3_core::denial::DenialRecord;
use i3_core::id::UserId;
use i3_core::market::{GrantLine, Numbered};
use i3_core::outbox::OutboxEntry;
use i3_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Client, Pages, Query};

/// Whether the marketplace works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// What a successful command survives.
    pub durability: String,
}

/// The whole picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reconciliation {
    /// Every grant.
    pub grants: Vec<GrantLine>,
    /// For each currency, what the entries sum to (always zero).
    pub ledger_sums: BTreeMap<String, String>,
    /// How many entries there are.
    pub entries: u64,
    /// The audit log's chain.
    pub audit: ChainReport,
    /// What does not add up: none if all is well. Kinds of differences are added as there is more to compare, so
    /// each is as the server tells it, with its kind as `difference`.
    pub differences: Vec<Value>,
}

/// Which denials are wanted; all if nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DenialQuery {
    /// Those of this user, in person or through a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Those that were answered with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Those from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Client {
    /// Whether the store answers.
    pub fn health(&self) -> Query<Health> {
        self.get("/health")
    }

    /// What happened, in order. Its places are positions: 0 is before the first.
    pub fn list_events(&self) -> Pages<Numbered<OutboxEntry>> {
        self.list("/events")
    }

    /// Who did what, in order. Its places are positions: 0 is before the first.
    pub fn list_audit(&self) -> Pages<Numbered<AuditEntry>> {
        self.list("/audit")
    }

    /// What was denied, newest first.
    pub fn list_denials(&self, query: &DenialQuery) -> Pages<DenialRecord> {
        self.list("/denials").parameters(query)
    }

    /// Whether the audit log's chain holds.
    pub fn verify_audit(&self) -> Query<ChainReport> {
        self.get("/audit/verification")
    }

    /// Whether the books balance.
    pub fn reconcile(&self) -> Query<Reconciliation> {
        self.get("/reconciliation")
    }
}
