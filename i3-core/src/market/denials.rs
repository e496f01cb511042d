//! Writing down what was denied, and reading it.

use super::queries::declared;
use super::{MarketError, Marketplace, PageRequest, Paged, Refusal};
use crate::access::{Action, Actor, Resource};
use crate::denial::{
    DenialNumber, DenialQueue, DenialRecord, DenialRecorder as _, DenialRing, DeniedRequest, TheRing,
};
use crate::id::UserId;
use crate::store::{Decision, Entity, Halt, Scan, StoreExt, Tx};
use crate::time::Timestamp;

/// How many are written in one batch.
const BATCH: usize = 200;
/// How many are removed in one batch.
const REMOVED: u64 = 600;

/// Which denials are looked for; all if nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DenialFilter {
    /// Those of this user, in person or through a program.
    pub user: Option<UserId>,
    /// Those that were answered with this code.
    pub code: Option<String>,
    /// Those from this time on.
    pub since: Option<Timestamp>,
    /// Those before this time.
    pub until: Option<Timestamp>,
}

struct Write<'a> {
    denied: &'a [(u64, DeniedRequest)],
    kept: u64,
}

impl Decision for Write<'_> {
    type Done = ();
    type Refusal = Refusal;

    fn decide(&self, tx: &mut Tx<'_, Refusal>) -> Result<(), Halt<Refusal>> {
        let before: Option<DenialRing> = tx.get(&TheRing)?;
        let ring = before.unwrap_or(DenialRing::EMPTY);
        let incoming = u64::try_from(self.denied.len()).unwrap_or(u64::MAX);
        let (turned, gone) = ring.turned(incoming, self.kept, REMOVED);
        let numbers: Vec<_> = gone.map(DenialNumber).collect();
        let mut keys = Vec::with_capacity(numbers.len());
        for number in &numbers {
            keys.push(DenialRecord::key(number)?);
        }
        tx.want(keys)?;
        for number in &numbers {
            if tx.get::<DenialRecord>(number)?.is_some() {
                tx.remove::<DenialRecord>(number)?;
            }
        }
        for (number, (unwritten_before, denied)) in (ring.next..).zip(self.denied) {
            if number >= turned.first {
                let (number, denied) = (DenialNumber(number), denied.clone());
                tx.create(&DenialRecord { number, unwritten_before: *unwritten_before, denied })?;
            }
        }
        match before {
            Some(_) => tx.replace(&turned),
            None => tx.create(&turned),
        }
    }
}

impl Marketplace {
    /// Writes down what waits in the queue, of which the newest `kept` are kept, and returns how many were written. If
    /// some were lost after the last that was taken, a record of the code [`UNWRITTEN`](crate::denial::UNWRITTEN) tells it.
    /// Call it now and then, from one task, and before the process ends. What is being written when the store fails
    /// stays in the queue; it may be there twice afterwards.
    pub async fn write_denials(&self, queue: &DenialQueue, kept: u64) -> Result<usize, MarketError> {
        let mut written = 0;
        loop {
            let denied = queue.first(BATCH);
            if denied.is_empty() {
                if queue.untold() == 0 {
                    return Ok(written);
                }
                queue.record(DeniedRequest::unwritten(self.now()));
                continue;
            }
            let write = Write { denied: &denied, kept };
            self.store.transact(self.now(), &*self.ids, &write).await?;
            queue.drop_first(denied.len());
            written += denied.len();
        }
    }

    /// What was denied, newest first: for who may audit.
    pub async fn denials(
        &self,
        actor: Actor,
        filter: &DenialFilter,
        page: &PageRequest,
    ) -> Result<Paged<DenialRecord>, MarketError> {
        self.authorize(actor, Action::Audit, &Resource::MARKETPLACE).await?;
        let user = filter.user.map(|user| user.to_string().into());
        let code = filter.code.as_deref().map(Into::into);
        let index = match (&user, &code) {
            (None, None) => "by_time",
            (None, Some(_)) => "by_code",
            (Some(_), None) => "by_user",
            (Some(_), Some(_)) => "by_user_and_code",
        };
        let scan =
            declared(Scan::index(DenialRecord::collection(), index, user.into_iter().chain(code).collect()))?;
        let time = |time: Option<Timestamp>| time.map(|time| time.micros().into());
        self.page(declared(scan.range(time(filter.since), time(filter.until)))?.backward(), page).await
    }
}
