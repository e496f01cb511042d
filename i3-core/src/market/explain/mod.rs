//! Why: why a client may or may not publish or receive a topic now, and why messages were or were not charged.
//!
//! The explanations are pure functions of what is stored ([`explain_publish`], [`explain_receive`],
//! [`explain_charge`], [`explain_message`]) and rest on the same rules as the decisions. Their codes are stable; their words are for
//! people.

mod access;
mod charge;
mod message;
mod read;

pub use access::{
    AccessExplanation, Bars, Check, DeviceFacts, OrderFacts, Outcome, explain_publish, explain_receive,
};
pub use charge::{ChargeExplanation, Finding, LeaseLine, LedgerLine, explain_charge};
pub use message::{MessageExplanation, SessionLine, explain_message};
