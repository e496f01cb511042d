//! The stream of one product, as one gate takes it in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use i3_core::gate::{Streams, StreamsError};
use i3_core::id::ProductId;
use i3_core::quality::Quality;
use i3_core::store::Applied;
use i3_core::stream::{SequenceBlock, StreamReport, StreamTerms};
use i3_core::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::NoNumbers;
use super::look::{Looks, Pace};
use super::numbers::Numbers;
use super::schema::Checker;

/// Pauses between tries when the store does not answer.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// What all streams of a gate share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) port: Arc<dyn Streams>,
    pub(super) holder: String,
    pub(super) runtime: Handle,
    pub(super) pace: Pace,
}

/// A product's stream. Whoever has its [`Turn`] hands messages over to the log; nobody else does meanwhile, so the
/// order of the numbers is the order in the log.
#[derive(Debug)]
pub(crate) struct ProductStream {
    product: ProductId,
    site: Arc<Site>,
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Debug)]
struct State {
    numbers: Numbers,
    looks: Looks,
    /// What was measured since the last report.
    quality: Option<Box<Quality>>,
    last: Option<Timestamp>,
    used: Instant,
    /// It is being given up: no number is taken any more.
    closing: bool,
}

/// The right to hand over messages of a product. Dropped without [`Turn::took`], nothing was handed over, and no number
/// is used up.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    stream: &'a Arc<ProductStream>,
    state: MutexGuard<'a, State>,
    at: Timestamp,
}

impl ProductStream {
    pub(super) fn new(product: ProductId, site: Arc<Site>) -> Arc<Self> {
        let state = State {
            numbers: Numbers::default(),
            looks: Looks::default(),
            quality: None,
            last: None,
            used: Instant::now(),
            closing: false,
        };
        Arc::new(Self { product, site, state: Mutex::new(state), answered: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to hand over messages, taken at this time by a right with these terms.
    pub(crate) fn turn(self: &Arc<Self>, terms: Option<&Arc<StreamTerms>>, at: Timestamp) -> Turn<'_> {
        let mut state = self.state();
        if let Some(terms) = state.looks.adopt(terms) {
            self.compile(terms);
        }
        Turn { stream: self, state, at }
    }

    /// Whether there are `needed` numbers; asks for more if not.
    pub(super) fn has(self: &Arc<Self>, needed: u64) -> bool {
        let mut state = self.state();
        let enough = !state.closing && state.numbers.left() >= needed;
        if !enough {
            self.refill(&mut state, needed);
        }
        enough
    }

    /// Whether it holds this number for a message that has not come yet.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.state().numbers.has(number)
    }

    /// Is done when somebody was answered who asked for numbers, or the stream was given up.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.answered.notified()
    }

    /// Says that it was given up.
    pub(super) fn gone(&self) {
        self.answered.notify_waiters();
    }

    fn refill(self: &Arc<Self>, state: &mut State, needed: u64) {
        if state.closing {
            return;
        }
        if let Some(count) = state.numbers.ask(needed) {
            let stream = Arc::clone(self);
            self.site.runtime.spawn(async move { stream.reserve(count).await });
        }
    }

    async fn reserve(&self, count: u64) {
        let mut asking = Asking { stream: self, block: None };
        let mut pause = FIRST_RETRY;
        while !self.state().closing {
            match self.site.port.reserve(self.product, &self.site.holder, count).await {
                Ok(block) => {
                    asking.block = Some(block);
                    break;
                }
                Err(StreamsError::Store(error)) => {
                    tracing::warn!(product = %self.product, %error, "no sequence numbers could be taken");
                }
                Err(error) => {
                    tracing::error!(product = %self.product, %error, "there are no sequence numbers");
                    break;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
        drop(asking);
    }

    /// Compiles the schema beside the traffic; messages are not checked before that.
    fn compile(self: &Arc<Self>, terms: Arc<StreamTerms>) {
        let stream = Arc::clone(self);
        self.site.runtime.spawn_blocking(move || {
            let Some(schema) = &terms.description.schema else { return };
            match Checker::compile(schema) {
                Ok(checker) => stream.state().looks.compiled(terms.revision, Arc::new(checker)),
                Err(reason) => tracing::warn!(product = %stream.product, reason, "messages are not checked"),
            }
        });
    }

    /// Tells what was measured since the last time. What certainly did not arrive is told with the next report.
    pub(super) async fn report(&self) -> Result<(), StreamsError> {
        let report = {
            let mut state = self.state();
            let samples = state.looks.take_samples();
            let quality = state.quality.take().map(|quality| *quality).unwrap_or_default();
            StreamReport { quality, samples, revision: state.looks.revision() }
        };
        if report.is_empty() {
            return Ok(());
        }
        let told = self.site.port.report(self.product, report.clone()).await;
        if let Err(StreamsError::Store(error)) = &told
            && error.applied() == Applied::No
        {
            let mut state = self.state();
            state.quality.get_or_insert_default().merge(&report.quality);
            state.looks.put_back(report.revision, report.samples);
        }
        told
    }

    /// Begins to give the stream up, if nobody used it for so long (and, unless `all`, nobody asks for numbers). False if
    /// somebody else has begun already.
    pub(super) fn begin_closing(&self, idle: Duration, all: bool) -> bool {
        let mut state = self.state();
        let begin = !state.closing && (all || (state.used.elapsed() >= idle && !state.numbers.is_asked()));
        state.closing |= begin;
        begin
    }

    /// Reports, and gives back the numbers that were not used. No other numbers of the product are asked for before
    /// this has returned.
    pub(super) async fn close(&self, limit: Duration) -> Result<(), StreamsError> {
        let answer = async {
            while self.state().numbers.is_asked() {
                let _ = tokio::time::timeout(FIRST_RETRY, self.answered.notified()).await;
            }
        };
        let answered = tokio::time::timeout(limit, answer).await.is_ok();
        let told = self.report().await;
        let rest = self.state().numbers.give_up();
        // While a question is under way the last numbers are not known.
        if let Some(rest) = rest.filter(|_| answered) {
            self.site.port.release(self.product, &self.site.holder, rest).await?;
        }
        told
    }

    #[cfg(test)]
    pub(super) fn is_asked(&self) -> bool {
        self.state().numbers.is_asked()
    }

    #[cfg(test)]
    pub(super) fn is_checked(&self) -> bool {
        self.state().looks.is_checked()
    }

    /// What was measured and not reported yet.
    #[cfg(test)]
    pub(super) fn measured(&self) -> Quality {
        self.state().quality.as_deref().cloned().unwrap_or_default()
    }
}

/// Ends the question for numbers, also if the port panics. Once: after it the next question may be asked, and two
/// at a time could be answered in the wrong order.
struct Asking<'a> {
    stream: &'a ProductStream,
    block: Option<SequenceBlock>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.stream.state().numbers.answered(self.block.take(), Instant::now());
        self.stream.answered.notify_waiters();
    }
}

impl Turn<'_> {
    /// The numbers of the next `count` messages, in order and more if there are. Not used up before [`Self::took`].
    pub(crate) fn numbers(&mut self, count: usize) -> Result<impl Iterator<Item = u64> + use<>, NoNumbers> {
        let needed = u64::try_from(count).unwrap_or(u64::MAX);
        if self.state.closing {
            return Err(NoNumbers);
        }
        if self.state.numbers.left() < needed {
            self.stream.refill(&mut self.state, needed);
            return Err(NoNumbers);
        }
        Ok(self.state.numbers.ahead())
    }

    /// The log has the messages with these payloads: their numbers are used up, and they are measured.
    pub(crate) fn took<'m>(mut self, payloads: &(impl ExactSizeIterator<Item = &'m [u8]> + Clone)) {
        let Turn { stream, at, .. } = self;
        let state = &mut *self.state;
        let quality = state.quality.get_or_insert_default();
        let (count, mut done) = (payloads.len(), 0);
        while done < count {
            let left = u64::try_from(count - done).unwrap_or(u64::MAX);
            let Some(run) = state.numbers.take_run(left) else { break };
            let length = usize::try_from(run.count()).unwrap_or(count);
            let part = payloads.clone().skip(done).take(length);
            quality.observe(at, state.last, run.first, part.clone().map(<[u8]>::len));
            state.looks.look(at, run.first, part, quality, &stream.site.pace);
            state.last = Some(at);
            done += length;
        }
        state.used = Instant::now();
        stream.refill(state, 0);
    }
}
