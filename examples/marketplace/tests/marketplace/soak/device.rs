//! The seller's side: one product's messages, numbered, through all lives of the gate.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::link::{DIGITS, Hello, Link, Packet, packet, text};
use super::{Chance, PATIENCE, Stage};
use crate::support::{DEVICE_LOGIN, PASSWORD};

/// What is known of a product's messages.
pub(super) struct Product {
    pub(super) topic: String,
    total: usize,
    /// How many messages may be published until now.
    limit: AtomicUsize,
    published: AtomicUsize,
    /// When each was.
    times: Mutex<Vec<Instant>>,
    /// The gate's number of each, as soon as a buyer has seen it.
    sequences: Mutex<Vec<Option<u64>>>,
}

impl Product {
    pub(super) fn new(topic: String, total: usize) -> Arc<Self> {
        Arc::new(Self {
            topic,
            total,
            // However long the kills take, something is left to come after the last one.
            limit: AtomicUsize::new(total - total / 20),
            published: AtomicUsize::new(0),
            times: Mutex::new(Vec::with_capacity(total)),
            sequences: Mutex::new(vec![None; total]),
        })
    }

    /// All may be published from now on.
    pub(super) fn let_all(&self) {
        self.limit.store(self.total, Ordering::SeqCst);
    }

    pub(super) fn published(&self) -> usize {
        self.published.load(Ordering::SeqCst)
    }

    pub(super) fn time_of(&self, number: usize) -> Instant {
        self.times.lock().unwrap()[number]
    }

    /// A message has one number, whoever is given it and however often.
    pub(super) fn saw(&self, number: usize, sequence: u64) {
        let mut sequences = self.sequences.lock().unwrap();
        let known = *sequences[number].get_or_insert(sequence);
        assert_eq!(known, sequence, "message {number} of {} has two numbers", self.topic);
    }

    /// The gate's numbers increase as the messages do, so no two have the same. Gives how many were seen.
    pub(super) fn assert_numbers_increase(&self) -> usize {
        let sequences = self.sequences.lock().unwrap();
        let seen: Vec<u64> = sequences.iter().copied().flatten().collect();
        for pair in seen.windows(2) {
            assert!(pair[0] < pair[1], "{}: {} came before {}", self.topic, pair[0], pair[1]);
        }
        seen.len()
    }
}

pub(super) struct Device {
    pub(super) product: Arc<Product>,
    pub(super) qos: u8,
    /// The most bytes that follow a message's number.
    pub(super) size: u64,
    pub(super) chance: Chance,
}

/// The most messages at a time, and milliseconds of rest, so that there is time for much to happen.
const BURST: u64 = 64;
const REST: u64 = 40;
/// The most messages that are not acknowledged.
const WINDOW: usize = 200;

impl Device {
    /// Publishes until all that may be is published or the gate dies, in one of the gate's lives.
    pub(super) async fn live(mut self, gate: SocketAddr, mut stage: watch::Receiver<Stage>) -> Self {
        if let Err(error) = self.visit(gate, &mut stage).await {
            let over = stage.wait_for(|now| matches!(now, Stage::Killed | Stage::Leave));
            assert!(
                tokio::time::timeout(PATIENCE, over).await.is_ok(),
                "a device was cut off by a gate that lives: {error}"
            );
        }
        self
    }

    async fn visit(&mut self, gate: SocketAddr, stage: &mut watch::Receiver<Stage>) -> io::Result<()> {
        let id = format!("device-{}", self.product.topic);
        let login = (DEVICE_LOGIN, PASSWORD);
        let hello = Hello { id: &id, login, five: true, persistent: false, small: false };
        let mut link = Link::open(gate, &hello).await?;
        let (mut greeted, mut unacknowledged) = (false, 0_usize);
        loop {
            while let Some(said) = link.next() {
                match said {
                    Packet::ConnAck { code, .. } => {
                        assert_eq!(code, 0);
                        greeted = true;
                    }
                    Packet::PubAck(reason) => {
                        assert!(reason < 0x80, "a publish was refused with {reason:#x}");
                        unacknowledged -= 1;
                    }
                    other => return Err(io::Error::other(format!("{other:?}"))),
                }
            }
            let left = self.product.limit.load(Ordering::SeqCst) - self.product.published();
            if greeted && left > 0 && unacknowledged < WINDOW {
                let burst = self.burst(left, &mut unacknowledged);
                link.send(&burst).await?;
                tokio::time::sleep(Duration::from_millis(self.chance.below(REST))).await;
                if self.qos == 0 {
                    continue;
                }
            } else if left == 0 && unacknowledged == 0 {
                tokio::select! {
                    over = stage.wait_for(|now| *now == Stage::Leave) => drop(over.unwrap()),
                    _ = link.read(1) => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
                link.say_goodbye().await?;
                while link.read(usize::MAX).await? {}
                return Ok(());
            }
            if !link.read(usize::MAX).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next messages. They count as published before they are: whether they are if the gate dies, nobody knows.
    fn burst(&mut self, left: usize, unacknowledged: &mut usize) -> Vec<u8> {
        let count = usize::try_from(self.chance.below(BURST) + 1).unwrap().min(left);
        let mut out = Vec::new();
        for _ in 0..count {
            let number = self.product.published();
            let mut body = Vec::new();
            text(&mut body, &self.product.topic);
            if self.qos == 1 {
                body.extend(u16::try_from(number % 60_000 + 1).unwrap().to_be_bytes());
                *unacknowledged += 1;
            }
            body.push(0);
            body.extend(format!("{number:0DIGITS$}").into_bytes());
            body.extend(vec![b'.'; usize::try_from(self.chance.below(self.size)).unwrap()]);
            out.extend(packet(0x30 | self.qos << 1, &body));
            self.product.times.lock().unwrap().push(Instant::now());
            self.product.published.fetch_add(1, Ordering::SeqCst);
        }
        out
    }
}
