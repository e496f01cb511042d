//! An order's one client: it comes, counts, goes in one way or another, and comes back.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::device::Product;
use super::link::{Came, Hello, Link, Packet};
use super::{Chance, Stage};

/// How a client is.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each goes with each")]
pub(super) struct Manner {
    pub(super) five: bool,
    pub(super) persistent: bool,
    pub(super) qos: u8,
    /// Leaves without a word, or with one: half and half. Otherwise always with one, reading to the end.
    pub(super) abrupt: bool,
    pub(super) slow: bool,
    /// Has left before each kill, with a word and reading to the end.
    pub(super) careful: bool,
}

pub(super) struct Buyer {
    pub(super) name: &'static str,
    pub(super) manner: Manner,
    pub(super) product: Arc<Product>,
    pub(super) order: String,
    pub(super) password: String,
    pub(super) chance: Chance,
    pub(super) tally: Tally,
    /// How many messages came in all, for who waits until no more come.
    pub(super) count: Arc<AtomicU64>,
}

/// What a client counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Frames that did not say that they come again.
    pub(super) fresh: u64,
    /// Frames that would not have, of which only the beginning came.
    pub(super) torn: u64,
    /// Frames that did.
    pub(super) again: u64,
    /// Messages that came at all.
    pub(super) distinct: u64,
    seen: Vec<bool>,
    /// The last fresh one.
    pub(super) last: Option<usize>,
    /// Connections that were made, and how many of them found their session.
    pub(super) visits: u64,
    pub(super) resumed: u64,
    /// How often the client left without a word.
    pub(super) dropped: u64,
    /// The client left without a word, and has not seen yet that the gate has sent all again.
    owed: bool,
    /// The gate said that this order opens nothing any more.
    pub(super) over: bool,
    /// The reasons with which the gate ended connections.
    pub(super) told: BTreeSet<u8>,
}

/// The most messages that come between two departures.
const STAY: u64 = 1_500;
/// For how long nothing comes to a client to which all has been sent again.
const SILENCE: Duration = Duration::from_secs(3);
/// The longest absence, in milliseconds.
const ABSENCE: u64 = 60;

impl Buyer {
    /// Comes and goes for one of the gate's lives.
    pub(super) async fn live(mut self, gate: SocketAddr, mut stage: watch::Receiver<Stage>) -> Self {
        while !self.tally.over && !self.must_leave(*stage.borrow()) {
            // However a connection ended: what came was counted.
            let _ = self.visit(gate, &mut stage).await;
            tokio::time::sleep(Duration::from_millis(self.chance.below(ABSENCE))).await;
        }
        self
    }

    fn must_leave(&self, stage: Stage) -> bool {
        match stage {
            Stage::Run => false,
            Stage::Killed => true,
            Stage::KillNears => self.manner.careful && !self.is_owed(),
            Stage::Leave => !self.is_owed(),
        }
    }

    /// Whether it has to come back for what it has not acknowledged, since it shall have all that it paid for.
    fn is_owed(&self) -> bool {
        self.tally.owed && self.manner.careful && self.manner.persistent
    }

    async fn visit(&mut self, gate: SocketAddr, stage: &mut watch::Receiver<Stage>) -> io::Result<()> {
        let Manner { five, persistent, slow: small, .. } = self.manner;
        let login = (self.order.as_str(), self.password.as_str());
        let mut link = Link::open(gate, &Hello { id: self.name, login, five, persistent, small }).await?;
        let mut stay = self.chance.below(STAY) + 1;
        let (mut greeted, mut acknowledgements) = (false, Vec::new());
        loop {
            while let Some(said) = link.next() {
                match said {
                    Packet::ConnAck { present, code: 0 } => {
                        greeted = true;
                        self.tally.visits += 1;
                        self.tally.resumed += u64::from(present);
                        if !present {
                            link.subscribe(&self.product.topic.clone(), self.manner.qos).await?;
                        }
                    }
                    // Not authorized; the others say that it may work later.
                    Packet::ConnAck { code, .. } => self.tally.over = matches!(code, 0x05 | 0x87),
                    Packet::SubAck(code) if code >= 0x80 => {
                        self.tally.over = code == 0x97;
                        return Ok(());
                    }
                    Packet::Publish(came) => {
                        self.take(&came);
                        stay = stay.saturating_sub(1);
                        if let Some(id) = came.id {
                            acknowledgements.extend([0x40, 2]);
                            acknowledgements.extend(id.to_be_bytes());
                        }
                    }
                    Packet::Disconnect(reason) => drop(self.tally.told.insert(reason)),
                    Packet::SubAck(_) | Packet::PubAck(_) => {}
                }
            }
            if stay == 0 && self.manner.abrupt && self.chance.below(2) == 0 {
                // What came last stays unacknowledged.
                self.tally.dropped += 1;
                self.tally.owed = true;
                return Ok(());
            }
            link.send(&acknowledgements).await?;
            acknowledgements.clear();
            if stay == 0 || self.must_leave(*stage.borrow()) {
                // To a dead gate nothing is said: its system would have thrown away what is still to be read.
                let dead = *stage.borrow() == Stage::Killed;
                return self.leave(link, !dead).await;
            }
            let most = if self.manner.slow { 4_096 } else { usize::MAX };
            tokio::select! {
                more = link.read(most) => if !more? {
                    self.tally.torn += u64::from(link.is_torn());
                    return Ok(());
                },
                changed = stage.changed() => changed.unwrap(),
                () = tokio::time::sleep(SILENCE), if greeted && self.is_owed() => self.tally.owed = false,
            }
            if self.manner.slow {
                let rest = Duration::from_millis(self.chance.below(20));
                let _ = tokio::time::timeout(rest, stage.changed()).await;
            }
        }
    }

    /// Says so and reads all that the gate had written.
    async fn leave(&mut self, mut link: Link, goodbye: bool) -> io::Result<()> {
        if goodbye {
            link.say_goodbye().await?;
        }
        while link.read(usize::MAX).await? {
            while let Some(said) = link.next() {
                if let Packet::Publish(came) = said {
                    self.take(&came);
                }
            }
        }
        self.tally.torn += u64::from(link.is_torn());
        Ok(())
    }

    fn take(&mut self, came: &Came) {
        let (name, tally) = (self.name, &mut self.tally);
        if came.again {
            tally.again += 1;
        } else {
            assert!(tally.last < Some(came.number), "{name}: {} after {:?}", came.number, tally.last);
            tally.last = Some(came.number);
            tally.fresh += 1;
            // What comes again comes first.
            tally.owed = false;
        }
        if tally.seen.len() <= came.number {
            tally.seen.resize(came.number + 1, false);
        }
        tally.distinct += u64::from(!std::mem::replace(&mut tally.seen[came.number], true));
        assert_eq!(came.sequence.is_some(), self.manner.five, "{name}");
        if let Some(sequence) = came.sequence {
            self.product.saw(came.number, sequence);
        }
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}
