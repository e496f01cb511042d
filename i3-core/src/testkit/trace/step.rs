//! What a trace consists of.

use super::analytics::AnalyticsAct;
use super::objects::ObjectAct;
use crate::access::HubRole;
use crate::id::UserId;
use crate::oauth::{ClientKind, ClientState};
use crate::offer::Plan;
use crate::product::ProductState;
use crate::role::RoleName;

/// Chooses among the things that there are: their number is taken modulo. From 240 on it chooses something
/// that there is not.
pub type Choice = u8;

/// Commands and queries, one after the other, as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Whether who registers has to be approved.
    pub approval: bool,
    /// What is done.
    pub steps: Vec<Step>,
}

/// One command or query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Who sends it.
    pub who: Who,
    /// Under which idempotency key.
    pub key: KeyUse,
    /// What it is.
    pub act: Act,
}

/// Who sends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Somebody who may: the hub's founder, the order's buyer, the marketplace itself.
    Fitting,
    /// The marketplace itself.
    System,
    /// Somebody without an account.
    Anonymous,
    /// This user, whoever that is.
    User(Choice),
    /// This user, of whom the trace knows nothing: no step chooses among what they make.
    Stranger(UserId),
}

/// Which idempotency key a command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// None.
    None,
    /// One that only this step has, and those that do it [again](Act::Again).
    Own,
    /// One of a few, which other steps have too.
    Shared(u8),
}

/// What is done. Each command of the marketplace is here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the commands, by choice")]
pub enum Act {
    RegisterUser {
        name: u8,
        roles: Vec<RoleName>,
    },
    SuspendUser {
        user: Choice,
    },
    ActivateUser {
        user: Choice,
    },
    SetRoles {
        user: Choice,
        roles: Vec<RoleName>,
    },
    CreateRole {
        name: u8,
        permissions: u8,
    },
    /// From 200 on, a built-in role.
    EditRole {
        name: u8,
        expected: Option<u32>,
        permissions: u8,
    },
    RemoveRole {
        name: u8,
        expected: Option<u32>,
    },
    Invite {
        roles: Vec<RoleName>,
        uses: u8,
    },
    WithdrawInvitation {
        invitation: Choice,
    },
    /// `RegisterUser` with an invitation and a profile.
    RegisterInvited {
        name: u8,
        invitation: Choice,
    },
    RejectUser {
        user: Choice,
    },
    DescribeUser {
        user: Choice,
        domain: u8,
    },
    ChangePassword {
        user: Choice,
        right: bool,
    },
    AskPasswordReset {
        user: Choice,
    },
    ResetPassword {
        user: Choice,
        right: bool,
    },
    EndLogins {
        user: Choice,
    },
    RegisterHub {
        founder: Choice,
        slug: u8,
    },
    SetMember {
        hub: Choice,
        user: Choice,
        role: HubRole,
    },
    RemoveMember {
        hub: Choice,
        user: Choice,
    },
    SetHubState {
        hub: Choice,
        active: bool,
    },
    DescribeHub {
        hub: Choice,
        title: u8,
    },
    RegisterDevice {
        hub: Choice,
        name: u8,
        key: bool,
    },
    AddCredential {
        device: Choice,
        from: Option<u64>,
        until: Option<u64>,
    },
    RemoveCredential {
        credential: Choice,
    },
    SetDeviceState {
        device: Choice,
        active: bool,
    },
    DescribeDevice {
        device: Choice,
        title: u8,
    },
    CreateProduct {
        hub: Choice,
        slug: u8,
        devices: Vec<Choice>,
    },
    DescribeProduct {
        product: Choice,
        title: u8,
    },
    /// `DescribeProduct` with other devices.
    SupplyProduct {
        product: Choice,
        devices: Vec<Choice>,
    },
    /// With a schema and a sample of so many messages, as the numbers say; some make no sense.
    DescribeStream {
        product: Choice,
        schema: u8,
        last: u8,
    },
    /// Changes of them what the numbers say; some make no sense.
    AmendStream {
        product: Choice,
        schema: u8,
        last: u8,
    },
    MoveProduct {
        product: Choice,
        to: ProductState,
    },
    PublishOffer {
        product: Choice,
        plan: Plan,
        term: Option<u64>,
    },
    WithdrawOffer {
        offer: Choice,
    },
    TopUp {
        user: Choice,
        minor: i64,
    },
    Purchase {
        buyer: Choice,
        offer: Choice,
    },
    CancelOrder {
        order: Choice,
    },
    RevokeGrant {
        order: Choice,
    },
    ExpireGrant {
        order: Choice,
    },
    ReplaceOrderPassword {
        order: Choice,
    },
    RateProduct {
        order: Choice,
        stars: u8,
    },
    OpenLease {
        order: Choice,
        holder: u8,
        messages: u64,
    },
    /// `delivered` counts on from what was reported; from 200 on, more is reported than was granted. `missed` is told
    /// as it is, so that a later report may tell of less.
    ExtendLease {
        lease: Choice,
        delivered: u8,
        missed: u8,
        more: u64,
    },
    CloseLease {
        lease: Choice,
        delivered: u8,
        missed: u8,
    },
    ReclaimLease {
        lease: Choice,
    },
    RegisterClient {
        owner: Choice,
        kind: ClientKind,
        redirected: bool,
    },
    DescribeClient {
        client: Choice,
        scopes: u8,
    },
    ReplaceClientSecret {
        client: Choice,
    },
    SetClientState {
        client: Choice,
        state: ClientState,
    },
    RemoveClient {
        client: Choice,
    },
    /// A Thing Description of this number; for so many seconds, if not for ever.
    PutThing {
        owner: Choice,
        thing: u8,
        private: bool,
        ttl: Option<u64>,
    },
    RemoveThing {
        owner: Choice,
        thing: u8,
    },
    PurgeThing {
        thing: u8,
    },
    /// What is added to the ontology; nothing, too much, or a text of this number. At the first version, if that is
    /// expected.
    ChangeOntology {
        text: Option<u8>,
        first: bool,
    },
    /// Makes the notices of what happened.
    PostNotices,
    Object(ObjectAct),
    /// What is remembered of people.
    Analytics(AnalyticsAct),
    /// Ends all grants whose time is over.
    Expire,
    /// What a step so many before this one did, under the same key.
    Again {
        back: u8,
    },
    /// Seconds go by.
    Wait {
        seconds: u64,
    },
    /// The store is closed and opened again, where there is something to open.
    Reopen,
    /// Queries.
    Look(Look),
}

/// A query. Lists are read page by page to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the marketplace's queries")]
pub enum Look {
    Catalogue { page: usize },
    Users { page: usize },
    Roles,
    Ontology { page: usize },
    Memberships(Choice),
    Members { hub: Choice, page: usize },
    Devices { hub: Choice, page: usize },
    Products { hub: Choice, page: usize },
    Offers { product: Choice, page: usize },
    Ratings { product: Choice, page: usize },
    Orders { buyer: Choice, page: usize },
    Sales { hub: Choice, page: usize },
    Statement(Choice),
    Clients { owner: Choice, page: usize },
    Client(Choice),
    Grant(Choice),
    PublishRights(Choice),
    Stream(Choice),
    Balances(Choice),
    Entries { user: Choice, page: usize },
    Objects { owner: Choice, filter: u8, page: usize },
    Object(Choice),
    Events { after: u64 },
    AuditLog { after: u64 },
    Notices { user: Choice, page: usize },
}

impl Step {
    /// By somebody who may, under a key of its own.
    pub const fn fitting(act: Act) -> Self {
        Self { who: Who::Fitting, key: KeyUse::Own, act }
    }
}
