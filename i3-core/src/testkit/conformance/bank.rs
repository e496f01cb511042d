//! Random payments of many callers between few accounts: there must be one order of all that was accepted
//! that explains every answer.
//!
//! Each payment that is applied leaves an entry in one log. The log's order is the order of the commits, so
//! repeating it gives the balances after each; every receipt must show the balances of its place, and every
//! refusal must have been true at some place between its call and its answer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::prepared;
use crate::store::{Batch, Cell, CommitError, DynStore, Op, Outcome};
use crate::testkit::dump::entries;
use crate::testkit::sample::{Item, STREAMS, add, adjust, append, cell, commit, count, create, key};
use crate::testkit::{Checked, Harness, Run, Stop, ensure, ensure_eq, join_all};

const ACCOUNTS: [&str; 4] = ["ann", "bob", "cat", "dan"];
const BEGIN: i64 = 30;
const CALLERS: u64 = 16;
const ROUNDS: u64 = 12;

/// One payment; only the first under a name is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Payment {
    caller: u64,
    round: u64,
    name: String,
    from: usize,
    to: usize,
    amount: i64,
}

impl Payment {
    /// Numbers that look random and are always the same.
    fn of(caller: u64, round: u64) -> Self {
        let mut mixed = (caller * ROUNDS + round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |below: u64| {
            mixed ^= mixed >> 29;
            mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed >> 33) % below
        };
        let from = usize::try_from(next(4)).unwrap_or(0);
        let to = (from + 1 + usize::try_from(next(3)).unwrap_or(0)) % ACCOUNTS.len();
        let amount = i64::try_from(next(25)).unwrap_or(0) + 1;
        Self { caller, round, name: format!("payment-{}", next(CALLERS * ROUNDS / 2)), from, to, amount }
    }

    fn accounts(&self) -> Result<(&'static str, &'static str), Stop> {
        let account =
            |place: usize| ACCOUNTS.get(place).copied().ok_or_else(|| Stop::broken("no such account"));
        Ok((account(self.from)?, account(self.to)?))
    }

    fn ops(&self) -> Result<Vec<Op>, Stop> {
        let (from, to) = self.accounts()?;
        Ok(vec![
            create(&Item::new(self.name.as_str()).owner(from))?,
            adjust(from, -self.amount, 0)?,
            adjust(to, self.amount, 0)?,
            append("log", serde_json::to_string(self)?)?,
        ])
    }
}

/// What a caller saw: the length of the log before and after, and the answer between.
struct Seen {
    payment: Payment,
    before: usize,
    answer: Answer,
    after: usize,
}

enum Answer {
    Paid {
        balances: [i64; 2],
        position: u64,
    },
    /// The payment of this name was made before.
    Taken,
    /// The account had so much, and that was too little.
    Short(i64),
}

async fn log_length(store: &DynStore) -> Result<usize, Stop> {
    match cell(&**store, &key(&STREAMS, "log")?).await? {
        Some(Cell::Stream { position, .. }) => Ok(usize::try_from(position)?),
        _ => Ok(0),
    }
}

async fn pay(store: &DynStore, payment: Payment) -> Result<Seen, Stop> {
    let before = log_length(store).await?;
    let answer = match store.commit(&Batch::of(payment.ops()?)?).await {
        Ok(receipt) => match receipt.outcomes.as_slice() {
            [
                Outcome::Written(_),
                Outcome::Adjusted(from),
                Outcome::Adjusted(to),
                Outcome::Appended { position, .. },
            ] => Answer::Paid { balances: [from.get(), to.get()], position: *position },
            other => return Err(Stop::broken(format_args!("the outcomes are {other:?}"))),
        },
        Err(CommitError::Stale { op: 0, .. }) => Answer::Taken,
        Err(CommitError::Floor { op: 1, now, .. }) => Answer::Short(now.get()),
        Err(other) => return Err(Stop::broken(format_args!("{payment:?} is answered by {other}"))),
    };
    Ok(Seen { payment, before, answer, after: log_length(store).await? })
}

/// The bank after some of the log's entries.
#[derive(Debug, Clone)]
struct State {
    balances: [i64; 4],
    made: BTreeSet<String>,
}

impl State {
    fn of(&self, place: usize) -> i64 {
        self.balances.get(place).copied().unwrap_or_default()
    }

    fn after(mut self, payment: &Payment) -> Self {
        for (place, by) in [(payment.from, -payment.amount), (payment.to, payment.amount)] {
            if let Some(balance) = self.balances.get_mut(place) {
                *balance += by;
            }
        }
        self.made.insert(payment.name.clone());
        self
    }
}

pub(super) async fn random_payments_have_one_order_that_explains_every_answer(
    harness: &dyn Harness,
) -> Checked {
    let store = prepared(harness).await?;
    payments(&[store]).await
}

/// The callers share these handles of one store.
pub(super) async fn payments(handles: &[DynStore]) -> Checked {
    let Some(store) = handles.first() else { return Err(Stop::broken("there is no store")) };
    let begin = ACCOUNTS.map(|account| add(account, BEGIN)).into_iter().collect::<Result<Vec<_>, Stop>>()?;
    commit(&**store, begin).await?;
    let caller = |(caller, store)| -> Run<'_, Result<Vec<Seen>, Stop>> {
        Box::pin(async move {
            let mut seen = Vec::new();
            for round in 0..ROUNDS {
                seen.push(pay(store, Payment::of(caller, round)).await?);
            }
            Ok(seen)
        })
    };
    let callers = (0..CALLERS).zip(handles.iter().cycle()).map(caller).collect();
    let seen: Vec<Vec<Seen>> = join_all(callers).await.into_iter().collect::<Result<_, Stop>>()?;

    let mut states = vec![State { balances: [BEGIN; 4], made: BTreeSet::new() }];
    let mut log = Vec::new();
    for (position, text, _) in entries(&**store, &key(&STREAMS, "log")?).await? {
        let payment: Payment = serde_json::from_str(&text)?;
        let Some(state) = states.last() else { break };
        ensure!(!state.made.contains(&payment.name), "`{}` was paid twice, then at {position}", payment.name);
        ensure!(state.of(payment.from) >= payment.amount, "{payment:?} at {position} was not covered");
        states.push(state.clone().after(&payment));
        log.push(payment);
    }
    let (mut paid, mut refused) = (0, 0);
    for Seen { payment, before, answer, after } in seen.into_iter().flatten() {
        let while_asked = states.get(before..=after).unwrap_or_default();
        match answer {
            Answer::Paid { balances, position } => {
                paid += 1;
                let place = usize::try_from(position)?;
                ensure_eq!(place.checked_sub(1).and_then(|place| log.get(place)), Some(&payment));
                let state = states.get(place).ok_or_else(|| Stop::broken("no such place in the log"))?;
                ensure_eq!(balances, [state.of(payment.from), state.of(payment.to)]);
                ensure!(
                    before < place && place <= after,
                    "it stands at {place}, called from {before} to {after}"
                );
            }
            Answer::Taken => {
                refused += 1;
                let taken = while_asked.iter().any(|state| state.made.contains(&payment.name));
                ensure!(taken, "`{}` was refused as taken, and was not", payment.name);
            }
            Answer::Short(now) => {
                refused += 1;
                let short = |state: &State| {
                    now < payment.amount
                        && state.of(payment.from) == now
                        && !state.made.contains(&payment.name)
                };
                ensure!(
                    while_asked.iter().any(short),
                    "{payment:?} was refused over a balance of {now} that was never there meanwhile"
                );
            }
        }
    }
    ensure_eq!(paid, log.len());
    ensure!(paid > 20 && refused > 20, "{paid} payments and {refused} refusals show little");
    for (place, account) in ACCOUNTS.iter().enumerate() {
        ensure_eq!(count(&**store, account).await?, states.last().map(|state| state.of(place)));
    }
    Ok(())
}
