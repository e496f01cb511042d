//! A marketplace of one device, one product and one order, with exact books.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use i3_core::gate::*;
use i3_core::id::*;
use i3_core::quality::Quality;
use i3_core::store::{StoreError, StoreErrorKind};
use i3_core::stream::{SequenceBlock, StreamHead, StreamReport};
use i3_core::time::{Clock, SystemClock, Timestamp};
use i3_core::usage::Missed;

#[derive(Debug)]
pub(super) struct Market {
    books: Mutex<Books>,
    pub(super) down: AtomicBool,
    /// Whether opening a lease panics.
    pub(super) broken: AtomicBool,
    /// Milliseconds that each call of metering takes.
    pub(super) slow: AtomicU64,
    pub(super) listener: Mutex<Option<Arc<dyn AccessListener>>>,
    /// Whether sequence numbers cannot be had.
    pub(super) numberless: AtomicBool,
    /// The product's sequence numbers.
    head: Mutex<StreamHead>,
    /// What gates measured.
    pub(super) quality: Mutex<Quality>,
}

#[derive(Debug)]
struct Books {
    quota: u64,
    /// Delivered under leases that are closed.
    used: u64,
    leases: HashMap<LeaseId, (u64, LeaseReport)>,
    /// Missed while leases that are closed were open.
    missed: Missed,
    next: u128,
    epoch: u32,
    open: bool,
    device: bool,
    listed: bool,
    until: Option<Timestamp>,
    login_until: Option<Timestamp>,
    calls: u64,
}

pub(super) fn grant() -> GrantId {
    GrantId::of(OrderId::from_bits(7))
}

pub(super) fn device_principal() -> Principal {
    Principal::Device { device: DeviceId::from_bits(1), hub: HubId::from_bits(2) }
}

impl Market {
    pub(super) fn new(quota: u64) -> Self {
        let books = Books {
            quota,
            used: 0,
            leases: HashMap::new(),
            missed: Missed::default(),
            next: 1,
            epoch: 1,
            open: true,
            device: true,
            listed: true,
            until: None,
            login_until: None,
            calls: 0,
        };
        Self {
            books: Mutex::new(books),
            down: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            slow: AtomicU64::new(0),
            listener: Mutex::default(),
            numberless: AtomicBool::new(false),
            head: Mutex::new(StreamHead::new(ProductId::from_bits(3))),
            quality: Mutex::default(),
        }
    }

    /// Messages that were reported as delivered.
    pub(super) fn billed(&self) -> u64 {
        let books = self.books.lock().unwrap();
        books.used + books.leases.values().map(|(_, report)| report.delivered).sum::<u64>()
    }

    /// Messages that were reported as missed.
    pub(super) fn missed(&self) -> Missed {
        let books = self.books.lock().unwrap();
        books.leases.values().fold(books.missed, |sum, (_, report)| sum.plus(report.missed))
    }

    pub(super) fn open_leases(&self) -> usize {
        self.books.lock().unwrap().leases.len()
    }

    pub(super) fn granted(&self) -> u64 {
        self.books.lock().unwrap().leases.values().map(|(granted, _)| granted).sum()
    }

    pub(super) fn calls(&self) -> u64 {
        self.books.lock().unwrap().calls
    }

    async fn change(&self, change: AccessChange, set: impl FnOnce(&mut Books)) {
        set(&mut self.books.lock().unwrap());
        let listener = self.listener.lock().unwrap().clone();
        if let Some(listener) = listener {
            listener.access_changed(&[change]).await;
        }
    }

    pub(super) async fn set_open_by(&self, change: AccessChange, open: bool) {
        self.change(change, |books| books.open = open).await;
    }

    pub(super) async fn set_open(&self, open: bool) {
        self.change(AccessChange::Grant(grant()), |books| {
            books.open = open;
            books.epoch += 1;
        })
        .await;
    }

    pub(super) async fn set_device(&self, active: bool) {
        self.change(AccessChange::Device(DeviceId::from_bits(1)), |books| books.device = active).await;
    }

    pub(super) async fn set_listed(&self, listed: bool) {
        self.change(AccessChange::Product(ProductId::from_bits(3)), |books| books.listed = listed).await;
    }

    /// Lets logins from now on last so long from now.
    pub(super) fn end_logins_in(&self, span: std::time::Duration) {
        self.books.lock().unwrap().login_until = Some(SystemClock.now().plus(span));
    }

    pub(super) fn set_until(&self, until: Timestamp) {
        self.books.lock().unwrap().until = Some(until);
    }

    pub(super) async fn change_login(&self, principal: Principal, credential: Option<u128>) {
        let credential = credential.map(CredentialId::from_bits);
        self.change(AccessChange::Login { principal, credential }, |_| {}).await;
    }

    fn reach_streams(&self) -> Result<(), StoreError> {
        if self.numberless.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "it is switched off"));
        }
        Ok(())
    }

    async fn reach(&self) -> Result<(), StoreError> {
        let slow = self.slow.load(Ordering::SeqCst);
        if slow > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(slow)).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "it is switched off"));
        }
        Ok(())
    }
}

#[async_trait]
impl Authenticator for Market {
    async fn authenticate(&self, login: Login<'_>) -> Result<Admission, LoginError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "it is switched off").into());
        }
        let (principal, credential) = match (login.username, login.password) {
            (Some("device"), Some(b"secret")) => (device_principal(), Some(CredentialId::from_bits(1))),
            (Some("other-device"), Some(b"secret")) => (
                Principal::Device { device: DeviceId::from_bits(9), hub: HubId::from_bits(2) },
                Some(CredentialId::from_bits(2)),
            ),
            (Some("order"), Some(b"secret")) => {
                (Principal::Order { order: grant().order(), buyer: UserId::from_bits(5) }, None)
            }
            _ => return Err(LoginError::Refused),
        };
        let until = self.books.lock().unwrap().login_until;
        Ok(Admission { principal, credential, until })
    }
}

#[async_trait]
impl Directory for Market {
    async fn publish_rights(&self, device: DeviceId) -> Result<Option<Vec<PublishRight>>, StoreError> {
        self.reach().await?;
        let books = self.books.lock().unwrap();
        if !books.device {
            return Ok(None);
        }
        let mut rights = Vec::new();
        if books.listed && device == DeviceId::from_bits(1) {
            let topic = super::TOPIC.parse().unwrap();
            rights.push(PublishRight { product: ProductId::from_bits(3), topic, terms: None });
        }
        Ok(Some(rights))
    }

    async fn grant(&self, grant: GrantId) -> Result<Option<GrantView>, StoreError> {
        self.reach().await?;
        let books = self.books.lock().unwrap();
        Ok((grant == self::grant()).then(|| GrantView {
            grant,
            buyer: UserId::from_bits(5),
            product: ProductId::from_bits(3),
            topic: super::TOPIC.parse().unwrap(),
            epoch: books.epoch,
            open: books.open && books.listed,
            counted: true,
            until: books.until,
        }))
    }
}

impl Books {
    fn left(&self) -> u64 {
        self.quota - self.used - self.leases.values().map(|(granted, _)| granted).sum::<u64>()
    }

    fn terms(&self, lease: LeaseId) -> LeaseTerms {
        LeaseTerms { lease, epoch: self.epoch, granted: self.leases[&lease].0 }
    }
}

/// A report follows an earlier one of the same lease.
fn check(report: LeaseReport, earlier: LeaseReport, granted: u64) {
    assert!(report.delivered <= granted, "more was delivered than granted");
    assert!(report.delivered >= earlier.delivered, "a count went back");
    assert_eq!(earlier.missed.since(report.missed), Missed::default(), "a count went back");
}

#[async_trait]
impl Metering for Market {
    async fn open(&self, grant: GrantId, _: &str, messages: u64) -> Result<LeaseTerms, MeteringError> {
        self.reach().await?;
        let mut books = self.books.lock().unwrap();
        books.calls += 1;
        if self.broken.load(Ordering::SeqCst) {
            drop(books);
            panic!("the marketplace is broken");
        }
        assert!(grant == super::market::grant() && messages > 0);
        if !books.open || !books.listed {
            return Err(LeaseRefusal::NotActive.into());
        }
        let granted = messages.min(books.left());
        if granted == 0 {
            let spent = books.used == books.quota;
            return Err(if spent { LeaseRefusal::Exhausted } else { LeaseRefusal::LeasedElsewhere }.into());
        }
        let lease = LeaseId::from_bits(books.next);
        books.next += 1;
        books.leases.insert(lease, (granted, LeaseReport::default()));
        Ok(books.terms(lease))
    }

    async fn extend(
        &self,
        lease: LeaseId,
        report: LeaseReport,
        granted: u64,
    ) -> Result<LeaseTerms, MeteringError> {
        self.reach().await?;
        let mut books = self.books.lock().unwrap();
        books.calls += 1;
        let left = books.left();
        let active = books.open && books.listed;
        let Some((held, reported)) = books.leases.get_mut(&lease) else {
            return Err(LeaseRefusal::NoSuchLease.into());
        };
        check(report, *reported, *held);
        *reported = report;
        if !active {
            return Err(LeaseRefusal::NotActive.into());
        }
        *held += granted.saturating_sub(*held).min(left);
        Ok(books.terms(lease))
    }

    async fn close(&self, lease: LeaseId, report: LeaseReport) -> Result<(), MeteringError> {
        self.reach().await?;
        let mut books = self.books.lock().unwrap();
        books.calls += 1;
        let Some((held, reported)) = books.leases.remove(&lease) else {
            return Err(LeaseRefusal::NoSuchLease.into());
        };
        check(report, reported, held);
        books.used += report.delivered;
        books.missed = books.missed.plus(report.missed);
        Ok(())
    }
}

#[async_trait]
impl Streams for Market {
    async fn reserve(&self, _: ProductId, holder: &str, count: u64) -> Result<SequenceBlock, StreamsError> {
        self.reach_streams()?;
        Ok(self.head.lock().unwrap().reserve(holder, count)?)
    }

    async fn release(&self, _: ProductId, holder: &str, rest: SequenceBlock) -> Result<(), StreamsError> {
        self.reach_streams()?;
        self.head.lock().unwrap().release(holder, rest);
        Ok(())
    }

    async fn report(&self, _: ProductId, report: StreamReport) -> Result<(), StreamsError> {
        self.reach_streams()?;
        self.quality.lock().unwrap().merge(&report.quality);
        Ok(())
    }
}
