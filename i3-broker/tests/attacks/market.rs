//! A marketplace of a few devices, products and orders, with exact books. It fails the test when more is delivered
//! than was granted, or when a count goes back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use i3_core::gate::*;
use i3_core::id::*;
use i3_core::store::{StoreError, StoreErrorKind};
use i3_core::stream::{SequenceBlock, StreamHead, StreamReport};
use i3_core::time::Timestamp;

/// The product that most tests are about; `device` publishes it, `order` and `order-two` receive it.
pub(crate) const TOPIC: &str = "i3/hub/product";
/// Of the same seller, published by another device.
pub(crate) const SIBLING: &str = "i3/hub/sibling";
/// Of another seller.
pub(crate) const FOREIGN: &str = "i3/other/product";
/// Of `device`, but retired.
pub(crate) const RETIRED: &str = "i3/hub/retired";
/// What nobody attacks: whether messages still get through there shows whether the gate lives.
pub(crate) const HONEST: &str = "i3/honest/proof";

#[derive(Debug)]
struct Product {
    topic: String,
    device: DeviceId,
    listed: bool,
}

#[derive(Debug)]
struct Device {
    id: DeviceId,
    hub: HubId,
    active: bool,
}

#[derive(Debug)]
struct Order {
    id: OrderId,
    buyer: UserId,
    product: ProductId,
    quota: u64,
    /// Delivered under leases that are closed.
    used: u64,
    epoch: u32,
    open: bool,
    until: Option<Timestamp>,
}

#[derive(Debug)]
struct Lease {
    order: String,
    granted: u64,
    delivered: u64,
}

#[derive(Debug, Default)]
struct Books {
    products: HashMap<ProductId, Product>,
    /// By user name.
    devices: HashMap<String, Device>,
    orders: HashMap<String, Order>,
    leases: HashMap<LeaseId, Lease>,
    next: u128,
    calls: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Market {
    books: Mutex<Books>,
    /// Whether the store answers nothing.
    pub(crate) down: AtomicBool,
    /// Milliseconds that each call takes.
    pub(crate) slow: AtomicU64,
    /// Logins that were looked at.
    pub(crate) checked: AtomicU64,
    pub(crate) listener: Mutex<Option<Arc<dyn AccessListener>>>,
    /// The sequence numbers of each product.
    numbers: Mutex<HashMap<ProductId, StreamHead>>,
}

fn product(number: u128) -> ProductId {
    ProductId::from_bits(number)
}

impl Market {
    /// Every order may receive this many messages, the honest one more than any test needs.
    pub(crate) fn new(quota: u64) -> Arc<Self> {
        let market = Self::default();
        let mut books = market.books();
        for (name, id, hub) in
            [("device", 1, 2), ("sibling", 2, 2), ("stranger", 9, 3), ("honest-device", 20, 4)]
        {
            let device = Device { id: DeviceId::from_bits(id), hub: HubId::from_bits(hub), active: true };
            books.devices.insert(name.to_owned(), device);
        }
        for (number, topic, device) in
            [(3, TOPIC, 1), (4, SIBLING, 2), (5, FOREIGN, 9), (6, RETIRED, 1), (20, HONEST, 20)]
        {
            let of = Product {
                topic: topic.to_owned(),
                device: DeviceId::from_bits(device),
                listed: topic != RETIRED,
            };
            books.products.insert(product(number), of);
        }
        drop(books);
        for (name, id, of) in
            [("order", 7, 3), ("order-two", 8, 3), ("foreign-order", 9, 5), ("sibling-order", 10, 4)]
        {
            market.add_order(name, id, of, quota);
        }
        market.add_order("honest-order", 20, 20, 1_000_000);
        Arc::new(market)
    }

    /// One more order, for the product of this number.
    pub(crate) fn add_order(&self, name: &str, id: u128, of: u128, quota: u64) {
        let order = Order {
            id: OrderId::from_bits(id),
            buyer: UserId::from_bits(id + 1_000),
            product: product(of),
            quota,
            used: 0,
            epoch: 1,
            open: true,
            until: None,
        };
        self.books().orders.insert(name.to_owned(), order);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Messages that were reported as delivered.
    pub(crate) fn billed(&self) -> u64 {
        let books = self.books();
        let closed: u64 = books.orders.values().map(|order| order.used).sum();
        closed + books.leases.values().map(|lease| lease.delivered).sum::<u64>()
    }

    /// The same of one order.
    pub(crate) fn billed_to(&self, name: &str) -> u64 {
        let books = self.books();
        let open = books.leases.values().filter(|lease| lease.order == name);
        books.orders[name].used + open.map(|lease| lease.delivered).sum::<u64>()
    }

    pub(crate) fn open_leases(&self) -> usize {
        self.books().leases.len()
    }

    /// What open leases hold.
    pub(crate) fn granted(&self) -> u64 {
        self.books().leases.values().map(|lease| lease.granted).sum()
    }

    /// How often quota was asked for or given back.
    pub(crate) fn calls(&self) -> u64 {
        self.books().calls
    }

    async fn tell(&self, change: AccessChange) {
        let listener = self.listener.lock().unwrap().clone();
        if let Some(listener) = listener {
            listener.access_changed(&[change]).await;
        }
    }

    /// Refunds or reopens an order.
    pub(crate) async fn set_open(&self, name: &str, open: bool) {
        let id = {
            let mut books = self.books();
            let order = books.orders.get_mut(name).unwrap();
            order.open = open;
            order.epoch += 1;
            order.id
        };
        self.tell(AccessChange::Grant(GrantId::of(id))).await;
    }

    /// Lets an order end at this time, without telling anybody.
    pub(crate) fn set_until(&self, name: &str, until: Option<Timestamp>) {
        self.books().orders.get_mut(name).unwrap().until = until;
    }

    pub(crate) async fn set_device(&self, name: &str, active: bool) {
        let id = {
            let mut books = self.books();
            let device = books.devices.get_mut(name).unwrap();
            device.active = active;
            device.id
        };
        self.tell(AccessChange::Device(id)).await;
    }

    pub(crate) async fn set_listed(&self, topic: &str, listed: bool) {
        let id = {
            let mut books = self.books();
            let (id, product) =
                books.products.iter_mut().find(|(_, product)| product.topic == topic).unwrap();
            product.listed = listed;
            *id
        };
        self.tell(AccessChange::Product(id)).await;
    }

    /// A device's credential is removed: its connections end.
    pub(crate) async fn remove_credential(&self, name: &str) {
        let principal = {
            let books = self.books();
            let device = &books.devices[name];
            Principal::Device { device: device.id, hub: device.hub }
        };
        self.tell(AccessChange::Login { principal, credential: None }).await;
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

impl Books {
    fn order(&self, grant: GrantId) -> Option<(&String, &Order)> {
        self.orders.iter().find(|(_, order)| GrantId::of(order.id) == grant)
    }

    fn left(&self, name: &str) -> u64 {
        let order = &self.orders[name];
        let leased = self.leases.values().filter(|lease| lease.order == name).map(|lease| lease.granted);
        order.quota - order.used - leased.sum::<u64>()
    }

    fn is_active(&self, order: &Order) -> bool {
        order.open && self.products[&order.product].listed
    }

    fn terms(&self, id: LeaseId) -> LeaseTerms {
        let lease = &self.leases[&id];
        LeaseTerms { lease: id, epoch: self.orders[&lease.order].epoch, granted: lease.granted }
    }
}

#[async_trait]
impl Authenticator for Market {
    async fn authenticate(&self, login: Login<'_>) -> Result<Admission, LoginError> {
        self.checked.fetch_add(1, Ordering::SeqCst);
        self.reach().await?;
        let (Some(name), Some(b"secret")) = (login.username, login.password) else {
            return Err(LoginError::Refused);
        };
        let books = self.books();
        let (principal, credential) =
            if let Some(device) = books.devices.get(name).filter(|device| device.active) {
                let credential = CredentialId::from_bits(device.id.bits());
                (Principal::Device { device: device.id, hub: device.hub }, Some(credential))
            } else if let Some(order) = books.orders.get(name) {
                (Principal::Order { order: order.id, buyer: order.buyer }, None)
            } else {
                return Err(LoginError::Refused);
            };
        Ok(Admission { principal, credential, until: None })
    }
}

#[async_trait]
impl Directory for Market {
    async fn publish_rights(&self, device: DeviceId) -> Result<Option<Vec<PublishRight>>, StoreError> {
        self.reach().await?;
        let books = self.books();
        if !books.devices.values().any(|known| known.id == device && known.active) {
            return Ok(None);
        }
        let of_device =
            books.products.iter().filter(|(_, product)| product.device == device && product.listed);
        let right = |(id, of): (&ProductId, &Product)| PublishRight {
            product: *id,
            topic: of.topic.parse().unwrap(),
            terms: None,
        };
        Ok(Some(of_device.map(right).collect()))
    }

    async fn grant(&self, grant: GrantId) -> Result<Option<GrantView>, StoreError> {
        self.reach().await?;
        let books = self.books();
        Ok(books.order(grant).map(|(_, order)| GrantView {
            grant,
            buyer: order.buyer,
            product: order.product,
            topic: books.products[&order.product].topic.parse().unwrap(),
            epoch: order.epoch,
            open: books.is_active(order),
            counted: true,
            until: order.until,
        }))
    }
}

#[async_trait]
impl Streams for Market {
    async fn reserve(&self, of: ProductId, holder: &str, count: u64) -> Result<SequenceBlock, StreamsError> {
        let mut numbers = self.numbers.lock().unwrap();
        Ok(numbers.entry(of).or_insert_with(|| StreamHead::new(of)).reserve(holder, count)?)
    }

    async fn release(&self, of: ProductId, holder: &str, rest: SequenceBlock) -> Result<(), StreamsError> {
        if let Some(head) = self.numbers.lock().unwrap().get_mut(&of) {
            head.release(holder, rest);
        }
        Ok(())
    }

    async fn report(&self, _: ProductId, _: StreamReport) -> Result<(), StreamsError> {
        Ok(())
    }
}

#[async_trait]
impl Metering for Market {
    async fn open(&self, grant: GrantId, _: &str, messages: u64) -> Result<LeaseTerms, MeteringError> {
        self.reach().await?;
        let mut books = self.books();
        books.calls += 1;
        let (name, order) = books.order(grant).expect("a known order");
        let (name, active, spent) = (name.clone(), books.is_active(order), order.used == order.quota);
        assert!(messages > 0);
        if !active {
            return Err(LeaseRefusal::NotActive.into());
        }
        let granted = messages.min(books.left(&name));
        if granted == 0 {
            return Err(if spent { LeaseRefusal::Exhausted } else { LeaseRefusal::LeasedElsewhere }.into());
        }
        books.next += 1;
        let id = LeaseId::from_bits(books.next);
        books.leases.insert(id, Lease { order: name, granted, delivered: 0 });
        Ok(books.terms(id))
    }

    async fn extend(
        &self,
        id: LeaseId,
        report: LeaseReport,
        granted: u64,
    ) -> Result<LeaseTerms, MeteringError> {
        self.reach().await?;
        let mut books = self.books();
        books.calls += 1;
        let Some(lease) = books.leases.get_mut(&id) else { return Err(LeaseRefusal::NoSuchLease.into()) };
        lease.take(report.delivered);
        let name = lease.order.clone();
        let left = books.left(&name);
        if !books.is_active(&books.orders[&name]) {
            return Err(LeaseRefusal::NotActive.into());
        }
        let lease = books.leases.get_mut(&id).unwrap();
        lease.granted += granted.saturating_sub(lease.granted).min(left);
        Ok(books.terms(id))
    }

    async fn close(&self, id: LeaseId, report: LeaseReport) -> Result<(), MeteringError> {
        self.reach().await?;
        let mut books = self.books();
        books.calls += 1;
        let Some(mut lease) = books.leases.remove(&id) else { return Err(LeaseRefusal::NoSuchLease.into()) };
        lease.take(report.delivered);
        books.orders.get_mut(&lease.order).unwrap().used += report.delivered;
        Ok(())
    }
}

impl Lease {
    /// Takes a report.
    fn take(&mut self, delivered: u64) {
        assert!(delivered <= self.granted, "more was delivered than granted");
        assert!(delivered >= self.delivered, "a count went back");
        self.delivered = delivered;
    }
}
