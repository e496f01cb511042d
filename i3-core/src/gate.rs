//! What a data path asks of the marketplace.
//!
//! A gate (the MQTT front end in `i3-broker`, or any other) authenticates clients through an
//! [`Authenticator`], learns rights from a [`Directory`], takes quota from [`Metering`], numbers messages and tells
//! what they were like through [`Streams`], and is told of changes as an [`AccessListener`]. The marketplace implements
//! [`Directory`], [`Metering`] and [`Streams`]. A gate may implement [`Recall`].

mod recall;
mod streams;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use recall::{Fate, Recall, Recollection, SessionFate};
pub use streams::{Streams, StreamsError};

use crate::id::{ClientId, CredentialId, DeviceId, GrantId, HubId, LeaseId, OrderId, ProductId, UserId};
use crate::name::Topic;
use crate::store::StoreError;
use crate::stream::StreamTerms;
use crate::time::Timestamp;
use crate::usage::Missed;

/// What a client presents when it connects. The password never appears in `Debug` output.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The client's own name for itself; identifies nobody.
    pub client_id: &'a str,
    /// A device's authentication id, or an order's id.
    pub username: Option<&'a str>,
    /// A password or a device token.
    pub password: Option<&'a [u8]>,
    /// Where the connection comes from.
    pub peer: Option<IpAddr>,
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "…"))
            .field("peer", &self.peer)
            .finish()
    }
}

/// Whom a connection speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    /// A seller's device: may publish its products and receives nothing.
    Device {
        /// The device.
        device: DeviceId,
        /// The hub that it belongs to.
        hub: HubId,
    },
    /// A buyer's order: may receive the product that was bought and publishes nothing.
    Order {
        /// The order.
        order: OrderId,
        /// The buyer.
        buyer: UserId,
    },
}

/// A login that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Whom the connection speaks for.
    pub principal: Principal,
    /// The device's credential that was used; see [`AccessChange::Login`].
    pub credential: Option<CredentialId>,
    /// When the credential ends, and with it the connection.
    pub until: Option<Timestamp>,
}

/// A login that was not accepted. Unknown name, wrong password, expired token and disabled device all
/// give [`LoginError::Refused`], so that a stranger learns nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The credentials are not good.
    #[error("the credentials are not accepted")]
    Refused,
    /// Too many failures or too much work in hand: try again later.
    #[error("too many logins at the moment")]
    Busy,
    /// The store could not be asked.
    #[error("the login could not be checked")]
    Store(#[from] StoreError),
}

/// Checks who connects.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Whom this login speaks for.
    async fn authenticate(&self, login: Login<'_>) -> Result<Admission, LoginError>;
}

/// A product that a device may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRight {
    /// The product.
    pub product: ProductId,
    /// Its topic, exact.
    pub topic: Topic,
    /// What its seller says of its messages, if anything.
    pub terms: Option<Arc<StreamTerms>>,
}

/// A grant, as far as a gate needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantView {
    /// The grant.
    pub grant: GrantId,
    /// Whose it is.
    pub buyer: UserId,
    /// What it opens.
    pub product: ProductId,
    /// The product's topic, exact.
    pub topic: Topic,
    /// Raised by every change of the grant; a lease taken under an older epoch admits nothing.
    pub epoch: u32,
    /// Whether messages may be delivered now: the grant, the product, the buyer and the hub are active.
    pub open: bool,
    /// Whether each message counts: the order has a quota, or a price per message.
    pub counted: bool,
    /// When the access ends.
    pub until: Option<Timestamp>,
}

/// Answers what a principal may do now.
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync + 'static {
    /// The products that a device may publish now. `None` when the device or its hub is not active: its
    /// connections end.
    async fn publish_rights(&self, device: DeviceId) -> Result<Option<Vec<PublishRight>>, StoreError>;

    /// The present state of a grant.
    async fn grant(&self, grant: GrantId) -> Result<Option<GrantView>, StoreError>;
}

/// A block of quota that one gate holds under one grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The lease.
    pub lease: LeaseId,
    /// The grant's epoch when the lease was taken.
    pub epoch: u32,
    /// How many messages may be delivered under this lease in all, since it was opened.
    pub granted: u64,
}

/// Why no (further) quota is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseRefusal {
    /// All that was bought has been delivered.
    #[error("the order's quota is used up")]
    Exhausted,
    /// The rest of the quota or of the money is held by leases of other gates.
    #[error("the rest of the order's quota is leased elsewhere")]
    LeasedElsewhere,
    /// The buyer's balance does not cover one more message.
    #[error("the buyer's balance does not cover one more message")]
    InsufficientFunds,
    /// The grant was revoked, suspended or has expired, or something that it rests on is not active.
    #[error("the grant is not active")]
    NotActive,
    /// The lease was closed or reclaimed, or there is no such grant or lease.
    #[error("there is no such open lease")]
    NoSuchLease,
}

/// No quota, or no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeteringError {
    /// The marketplace says no.
    #[error(transparent)]
    Refused(#[from] LeaseRefusal),
    /// The store gave no answer: take no new quota, use up what is held.
    #[error("the store could not be asked")]
    Store(#[from] StoreError),
}

/// What a gate tells of one of its leases: totals since the lease was opened. A gate that does not count what is missed
/// makes it of the number delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaseReport {
    /// Messages that were delivered.
    pub delivered: u64,
    /// Messages that sessions of the grant did not get. They take no quota and cost nothing.
    pub missed: Missed,
}

impl From<u64> for LeaseReport {
    fn from(delivered: u64) -> Self {
        Self { delivered, missed: Missed::default() }
    }
}

/// Hands out quota in leases, and takes the usage back. All counts are totals since the lease was
/// opened, so a call may be repeated without harm.
///
/// The money for a lease is held before it is handed out (durably, as far as the store is durable), so
/// what is delivered under leases never exceeds what was paid for. A gate that dies leaves its lease
/// open: what it had not reported is in doubt and is not billed when the lease is reclaimed.
#[async_trait]
pub trait Metering: fmt::Debug + Send + Sync + 'static {
    /// Takes a lease of up to `messages` messages for the gate called `holder`; at least one, or a refusal.
    async fn open(&self, grant: GrantId, holder: &str, messages: u64) -> Result<LeaseTerms, MeteringError>;

    /// Reports what was delivered and missed, and asks for `granted` messages in all; gives what
    /// is granted in all now, which may be less. Usage is recorded even if nothing more is granted:
    /// then the answer is what was granted before.
    async fn extend(
        &self,
        lease: LeaseId,
        report: LeaseReport,
        granted: u64,
    ) -> Result<LeaseTerms, MeteringError>;

    /// Reports the final counts and gives the rest back.
    async fn close(&self, lease: LeaseId, report: LeaseReport) -> Result<(), MeteringError>;
}

/// Something whose access changed by a committed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccessChange {
    /// This grant was revoked, cancelled or has expired: ask the directory again. That it is used up is not
    /// announced: leases say so.
    Grant(GrantId),
    /// What this device may publish changed: ask the directory again. Its connections end if it may
    /// publish nothing because it is disabled; see [`Directory::publish_rights`].
    Device(DeviceId),
    /// This product was listed, paused or retired: ask again for all who publish or receive it.
    Product(ProductId),
    /// This user was suspended or reinstated: ask again for all orders of the user.
    User(UserId),
    /// This hub was suspended or reinstated: ask again for all of its devices and products.
    Hub(HubId),
    /// This OAuth2 client was switched on or off, removed, or may do less than before: tokens that it holds are
    /// to be looked at again. No question of a gate's.
    Client(ClientId),
    /// The password or key that admitted these connections is no longer good, or they may do less than they were told:
    /// they end.
    Login {
        /// Whose connections.
        principal: Principal,
        /// Only those admitted by this credential; all of the principal's if absent.
        credential: Option<CredentialId>,
    },
}

/// Is told of committed changes of access.
#[async_trait]
pub trait AccessListener: fmt::Debug + Send + Sync + 'static {
    /// Returns once nothing is delivered or accepted any more that the change forbids. The command that
    /// made the change returns to its caller only after this.
    async fn access_changed(&self, changes: &[AccessChange]);
}
