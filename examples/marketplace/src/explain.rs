//! `explain`: why a client may or may not do something, and why messages were or were not charged.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::{Args, Subcommand};
use i3_auth::RolePolicy;
use i3_core::access::Actor;
use i3_core::id::{DeviceId, OrderId};
use i3_core::ledger::Holder;
use i3_core::market::{AccessExplanation, ChargeExplanation, Marketplace, Outcome};
use i3_core::name::AuthId;
use serde::Serialize;

use crate::{Failure, StoreOptions};

/// What is to be explained.
#[derive(Debug, Clone, Subcommand)]
pub enum ExplainTask {
    /// Why a device may or may not publish a topic, or an order receive it; the exit status is 1 if it may not
    Access(ExplainAccess),
    /// Why messages of an order were or were not charged
    Charge(ExplainCharge),
}

/// Whose access is to be explained.
#[derive(Debug, Clone, Args)]
#[group(id = "who", required = true, multiple = false, args = ["device", "order"])]
pub struct ExplainAccess {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub store: StoreOptions,
    /// The device, by its id or by what it logs in with
    #[arg(long, value_name = "ID", requires = "topic")]
    pub device: Option<String>,
    /// The order
    #[arg(long, value_name = "ID")]
    pub order: Option<OrderId>,
    /// The topic; an order's own by default
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// As JSON, as the REST interface gives it
    #[arg(long)]
    pub json: bool,
}

/// Whose charges are to be explained.
#[derive(Debug, Clone, Args)]
pub struct ExplainCharge {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text in its help")]
    pub store: StoreOptions,
    /// The order
    #[arg(long, value_name = "ID")]
    pub order: OrderId,
    /// As JSON, as the REST interface gives it
    #[arg(long)]
    pub json: bool,
}

/// Explains from a store that no server has open; one on a shared database may be in use. Gives the text and
/// whether what was asked about is allowed.
pub async fn explain(task: &ExplainTask) -> Result<(String, bool), Failure> {
    match task {
        ExplainTask::Access(asked) => {
            let market = open(&asked.store).await?;
            let explained = access(&market, asked).await?;
            let well = explained.code == "allowed";
            Ok((if asked.json { json(&explained)? } else { access_text(&explained) }, well))
        }
        ExplainTask::Charge(asked) => {
            let market = open(&asked.store).await?;
            let explained = market.explain_charge(Actor::System, asked.order, usize::MAX).await?;
            Ok((if asked.json { json(&explained)? } else { charge_text(&explained) }, true))
        }
    }
}

async fn open(store: &StoreOptions) -> Result<Marketplace, Failure> {
    let store = store.url()?.open_existing().await?;
    Ok(Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await?)
}

async fn access(market: &Marketplace, asked: &ExplainAccess) -> Result<AccessExplanation, Failure> {
    let topic = asked.topic.as_deref();
    if let Some(order) = asked.order {
        return Ok(market.explain_receive(Actor::System, order, topic).await?);
    }
    let name = asked.device.as_deref().unwrap_or_default();
    let device = match (name.parse::<DeviceId>(), name.parse::<AuthId>()) {
        (Ok(id), _) => id,
        (_, Ok(login)) => match market.device_login(&login).await? {
            Some((device, _)) => device.id,
            None => return Err(Failure::new("not_found", format!("there is no device `{login}`"))),
        },
        _ => return Err(Failure::usage("invalid_device", format!("`{name}` is neither an id nor a login"))),
    };
    Ok(market.explain_publish(Actor::System, device, topic.unwrap_or_default()).await?)
}

fn json(explained: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(explained)
        .map_err(|error| Failure::new("internal", format!("the answer cannot be written: {error}")))?;
    text.push('\n');
    Ok(text)
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{arguments}");
}

fn yes(good: bool) -> &'static str {
    if good { "yes" } else { "no" }
}

fn access_text(explained: &AccessExplanation) -> String {
    let mut text = String::new();
    let may = if explained.quota.is_some() { "may receive" } else { "may publish" };
    line(&mut text, format_args!("{may}: {} ({})", yes(explained.allowed), explained.code));
    line(&mut text, format_args!("may log in: {}", yes(explained.may_log_in)));
    if let Some(quota) = explained.quota {
        line(&mut text, format_args!("quota for one more message: {}", yes(quota)));
    }
    line(&mut text, format_args!("as of {}:", explained.at));
    for check in &explained.checks {
        let mark = match check.outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "NO",
            Outcome::Noted => "--",
        };
        line(&mut text, format_args!("  {mark} {:<16} {}", check.check, check.detail));
    }
    text
}

fn charge_text(explained: &ChargeExplanation) -> String {
    let currency = explained.currency;
    let mut text = String::new();
    let paid = explained.usage.captured.display(currency);
    let balance =
        if explained.balances { "which is what the terms say" } else { "WHICH THE TERMS DO NOT SAY" };
    line(&mut text, format_args!("{}: {paid} paid, {balance}", explained.order));
    for finding in &explained.findings {
        let count = finding.messages.map_or_else(|| "-".to_owned(), |count| count.to_string());
        line(&mut text, format_args!("  {:<12} {count:>10}  {}", finding.code, finding.detail));
    }
    for lease in &explained.leases {
        line(
            &mut text,
            format_args!(
                "  {} {} at `{}`: granted {}, delivered {}, {} {}",
                lease.opened,
                lease.lease,
                lease.holder,
                lease.granted,
                lease.delivered,
                lease.rest,
                lease.rest_messages
            ),
        );
    }
    for entry in &explained.ledger {
        let account = match entry.account.holder {
            Holder::Held(_) => "held",
            _ => "available",
        };
        let amount = entry.amount.display(currency);
        line(&mut text, format_args!("  {} {} {account:<9} {amount:>14}", entry.at, entry.transfer));
    }
    if !explained.complete {
        line(&mut text, format_args!("  not all leases and movements were found"));
    }
    text
}
