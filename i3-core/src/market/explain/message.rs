//! Why one message was or was not charged.

use serde::Serialize;

use crate::gate::{Fate, Recollection, SessionFate};
use crate::id::OrderId;
use crate::money::Currency;
use crate::offer::Plan;
use crate::order::Order;
use crate::usage::{Miss, Usage};

/// What became of a message at one session of the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SessionLine {
    /// The gate, as in its leases.
    pub gate: String,
    /// The client's name for itself; absent for all but the buyer and administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Whether the session goes on.
    pub present: bool,
    /// What became of the message.
    #[serde(flatten)]
    pub fate: Fate,
    /// In words.
    pub detail: String,
}

/// Why one message was or was not charged to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct MessageExplanation {
    /// The order.
    pub order: OrderId,
    /// The message's number among those of the product, as in `i3-seq`.
    pub number: u64,
    /// The stable code: `charged`, `free` (delivered, the offer costs nothing), `missed`, `unpublished`, `not_yet` (it
    /// may wait for its turn), `absent` (no session was there), `before` (the first session began later), `skipped` (no message has the number) or `unknown`.
    pub code: &'static str,
    /// How often it was charged, or delivered for nothing, as far as is remembered: once for each session.
    pub charged: u64,
    /// In words.
    pub detail: String,
    /// Whether all sessions that the order ever had are remembered, as far back as the message. Otherwise others may have
    /// received it.
    pub complete: bool,
    /// The sessions that are remembered.
    pub sessions: Vec<SessionLine>,
    /// The currency of what the books have.
    pub currency: Currency,
    /// The counts of all messages, as the books have them.
    pub usage: Usage,
}

/// Why the message of this number was or was not charged to the order, by what gates remember. `next` is the lowest number
/// that no gate was given. `elsewhere` says whether other gates than these had leases of the order. `names` says whether
/// clients' names may be shown.
pub fn explain_message(
    order: &Order,
    usage: &Usage,
    (number, next): (u64, u64),
    gates: &[Recollection],
    elsewhere: bool,
    names: bool,
) -> MessageExplanation {
    let unpublished = number >= next || gates.iter().any(|gate| gate.unused);
    let fates = || gates.iter().flat_map(|gate| &gate.sessions);
    let any = |is: fn(&SessionFate) -> bool| fates().any(is);
    let forgotten = any(|session| session.fate == Fate::Forgotten);
    let complete =
        !elsewhere && !forgotten && !gates.is_empty() && gates.iter().all(|gate| gate.since <= order.placed);
    let (mut charged, mut again) = (0_u64, 0_u64);
    for session in fates() {
        if let Fate::Delivered { times, again: more } = session.fate {
            (charged, again) = (charged.saturating_add(times), again.saturating_add(more));
        }
    }
    let free = matches!(order.terms.plan, Plan::Free { .. });
    let code = match () {
        () if charged > 0 && free => "free",
        () if charged > 0 => "charged",
        () if any(|session| matches!(session.fate, Fate::Missed { .. })) => "missed",
        () if unpublished => "unpublished",
        () if any(|session| session.fate == Fate::Ahead && session.present) => "not_yet",
        () if !complete => "unknown",
        () if any(|session| session.fate == Fate::Skipped) => "skipped",
        () if fates().next().is_some() && fates().all(|session| session.fate == Fate::Before) => "before",
        () => "absent",
    };
    let mut detail = match code {
        "free" | "charged" => {
            let (whom, each) =
                if charged == 1 { ("a connection", "") } else { ("connections", " each time") };
            let cost = if free { "at no cost".to_owned() } else { format!("and charged{each}") };
            let more = match again {
                0 => String::new(),
                again => format!("; sent again {}, free of charge", times(again)),
            };
            format!("handed to {whom} of the order {}, {cost}{more}", times(charged))
        }
        "missed" => "not handed to any connection, and not charged".to_owned(),
        "unpublished" => "no message has this number so far; not charged".to_owned(),
        "not_yet" => "not published so far, or it waits for its turn; not charged so far".to_owned(),
        "skipped" => "no message with this number came, though higher ones did; not charged".to_owned(),
        "before" => "it came before the first session of the order; not charged".to_owned(),
        "absent" => {
            "no session of the order was there to receive it, if it was published at all; not charged".to_owned()
        }
        _ => "not known: gates remember the last sessions and messages, for as long as they run, and the books \
              have counts only"
            .to_owned(),
    };
    if !complete && code != "unknown" && code != "unpublished" {
        detail.push_str("; whether sessions that are not remembered received it too is not known");
    }
    let sessions =
        gates.iter().flat_map(|gate| gate.sessions.iter().map(|session| line(gate, session, names)));
    MessageExplanation {
        order: order.id,
        number,
        code,
        charged,
        detail,
        complete,
        sessions: sessions.collect(),
        currency: order.terms.currency,
        usage: usage.clone(),
    }
}

/// So many times, in words.
fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn line(gate: &Recollection, session: &SessionFate, names: bool) -> SessionLine {
    let detail = match session.fate {
        Fate::Delivered { times: often, again: 0 } => format!("handed to its connection {}", times(often)),
        Fate::Delivered { times: often, again } => {
            format!("handed to its connection {}, and again {}, free of charge", times(often), times(again))
        }
        Fate::Missed { why, messages, first, last } => {
            let why = match why {
                Miss::Slow => "the client was too slow",
                Miss::Offline => "too much came while the client was away",
                Miss::Expired => "its time was over",
                Miss::TooLarge => "it is longer than the packets that the client takes",
            };
            if first == last {
                format!("{why}: it alone was missed")
            } else {
                format!("{why}: {messages} messages with numbers from {first} to {last} were missed")
            }
        }
        Fate::Absent => "the client had no session then".to_owned(),
        Fate::Before => "it came before the first message of the session".to_owned(),
        Fate::Ahead if session.present => "nothing with so high a number has had its turn".to_owned(),
        Fate::Ahead => "the session ended before so high a number had its turn".to_owned(),
        Fate::Skipped => "no message with this number came, though higher ones did".to_owned(),
        Fate::Forgotten => "too long ago to be remembered".to_owned(),
    };
    SessionLine {
        gate: gate.holder.clone(),
        client: names.then(|| session.client.clone()),
        present: session.present,
        fate: session.fate,
        detail,
    }
}
