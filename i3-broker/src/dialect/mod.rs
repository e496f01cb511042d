//! Authorization for brokers that are not ours: one decision, asked in the words of each broker.
//!
//! A broker with an HTTP authorization plug-in (Mosquitto with mosquitto-go-auth, EMQX, RMQTT, `VerneMQ`) asks
//! [`Hooks`] who may connect, publish and subscribe. All dialects put the same question to one [`Decider`], so
//! they cannot disagree: a device may publish exactly the topics of its products, an order may subscribe to
//! exactly its topic while its grant is open, and everything else is forbidden, known or not. There is no HTTP
//! here: a program hands in [`HookRequest`]s and sends back [`HookReply`]s.
//!
//! # What this mode does, and what it does not
//!
//! - **Nothing is metered.** These brokers ask when a client subscribes or publishes; they do not ask for quota
//!   at each delivery. What is allowed is decided here; what is delivered is neither counted nor billed, and an
//!   order of N messages would not be stopped at N. So orders whose messages count are refused, unless
//!   [`DeciderConfig::counted_orders`] says otherwise: sell them through the [`Gate`](crate::Gate), alone or in
//!   front of the broker. An order that ends by its term, by cancelling or by revocation ends here too.
//! - **An answer is good for a while.** [`Decision::valid_for`] is short ([`DeciderConfig::valid_for`]) and never
//!   beyond the end of the order; a dialect that can say it, says it. A client that is connected already is
//!   cut off by a [`Kicker`], or when the broker asks again.
//! - **Calls about permissions carry no password.** They name a client whom the broker has let in before, after
//!   asking here. So whoever may call can ask about anybody: every call has to show the [`HookSecret`].
//! - **In doubt it is no.** A call that cannot be understood, a wrong secret, and a store that gives no answer
//!   are a refusal in the words of the dialect: some brokers take an HTTP error for "ask the next one".

mod decide;
pub mod dynsec;
mod emqx;
mod go_auth;
mod hooks;
mod kick;
mod params;
mod rmqtt;
mod roster;
mod secret;
#[cfg(test)]
mod tests;
mod vernemq;

pub use decide::{Act, Decider, DeciderConfig, Decision, Entry, Reason, Rights};
pub use hooks::{Dialect, HookReply, HookRequest, Hooks};
pub use kick::{EmqxKicker, HttpCall, HttpClient, HttpDone, KickError, KickStats, Kicker, KickingListener};
pub use roster::Roster;
pub use secret::{HookSecret, InvalidSecret};
