//! Queries. They ask the policy as commands do; what needs no actor is public, or is for the edges that
//! check logins.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::caller::memberships_of;
use super::command::subject_of;
use super::metering::view;
use super::{MarketError, Marketplace, Refusal};
use crate::access::{Action, Actor, HubRole, Resource, Subject, decide};
use crate::audit::{self, AuditEntry, ChainReport};
use crate::device::{CredentialKind, Device, DeviceSecret, DeviceState};
use crate::gate::{Directory, GrantView, PublishRight};
use crate::grant::Grant;
use crate::hub::{Hub, HubState, Membership, MembershipId};
use crate::id::{DeviceId, GrantId, HubId, OrderId, ProductId, UserId};
use crate::ledger::{Account, Holder};
use crate::money::{Amount, Currency};
use crate::name::{AuthId, Slug};
use crate::order::Order;
use crate::outbox::{self, OutboxEntry};
use crate::product::{Product, ProductState, Source};
use crate::reservation::Reservation;
use crate::role::RoleBook;
use crate::statement::Statement;
use crate::store::{
    Body, Cell, Cursor, Digest, Entity, Key, Row, Scan, StoreError, StoreErrorKind, StoreExt, limits,
};
use crate::stream::StreamTerms;
use crate::usage::Usage;
use crate::user::{User, UserSecret, UserState};

/// Which page is wanted.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Where an earlier page ended; the first page if absent.
    pub after: Option<Cursor>,
    /// At most how many items.
    pub limit: usize,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { after: None, limit: 50 }
    }
}

/// A page of items.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Paged<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    #[serde(serialize_with = "text")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub next: Option<Cursor>,
}

#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn text<S: serde::Serializer>(cursor: &Option<Cursor>, serializer: S) -> Result<S::Ok, S::Error> {
    match cursor {
        Some(cursor) => serializer.collect_str(cursor),
        None => serializer.serialize_none(),
    }
}

/// What an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Balance {
    /// Of what.
    pub currency: Currency,
    /// How much, in minor units.
    pub amount: Amount,
}

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Numbered<T> {
    /// Its number.
    pub position: u64,
    /// Its link in the hash chain.
    pub link: Digest,
    /// The entry.
    #[serde(flatten)]
    pub entry: T,
}

pub(super) fn not_found(what: &'static str) -> MarketError {
    Refusal::NotFound { what }.into()
}

/// What somebody is told of a thing that only some may know of: to who may not, it is not there. To who may, but not
/// through this program, the missing scope is named.
pub(super) fn hidden(error: MarketError, what: &'static str) -> MarketError {
    match error {
        MarketError::Refused(Refusal::OutOfScope { .. }) | MarketError::Conflict | MarketError::Store(_) => {
            error
        }
        MarketError::Refused(_) => not_found(what),
    }
}

fn scan_of(scan: Scan, page: &PageRequest) -> Result<Scan, MarketError> {
    let scan = scan.limit(page.limit.min(limits::PAGE_ROWS));
    match page.after.clone() {
        Some(cursor) => scan.after(cursor).map_err(|error| Refusal::invalid("cursor", error).into()),
        None => Ok(scan),
    }
}

/// A scan that this crate's own declarations make possible.
pub(super) fn declared(scan: Result<Scan, crate::store::InvalidScan>) -> Result<Scan, StoreError> {
    scan.map_err(|error| {
        StoreError::new(StoreErrorKind::Unsupported, "a query does not fit its collection").with_source(error)
    })
}

impl Marketplace {
    pub(super) async fn entity<E: Entity>(&self, id: &E::Id, what: &'static str) -> Result<E, MarketError> {
        Ok(self.store.get::<E>(id).await?.ok_or_else(|| not_found(what))?.entity)
    }

    pub(super) async fn page<E: Entity + Serialize>(
        &self,
        scan: Scan,
        page: &PageRequest,
    ) -> Result<Paged<E>, MarketError> {
        let (items, next) = self.store.list(&scan_of(scan, page)?).await?;
        Ok(Paged { items, next })
    }

    pub(super) async fn subject(&self, actor: Actor) -> Result<Subject, MarketError> {
        Ok(match actor {
            Actor::System => Subject::system(),
            Actor::Anonymous => Subject::anonymous(),
            Actor::User(user) => {
                let keys = [User::key(&user)?, RoleBook::book_key()?];
                let mut cells = self.store.read(&keys).await?.into_iter();
                let [user_key, book_key] = &keys;
                let user = read_if::<User>(user_key, cells.next().flatten())?;
                let book = read_if::<RoleBook>(book_key, cells.next().flatten())?;
                let user = user.ok_or_else(|| not_found("user"))?;
                subject_of(user, self.bound.as_deref(), &book.unwrap_or_default())
            }
        })
    }

    /// Refuses unless the policy allows the actor this action now, and the scopes of the program that asks. For edges whose own actions are not
    /// commands, and for explanations.
    pub async fn authorize(
        &self,
        actor: Actor,
        action: Action,
        resource: &Resource,
    ) -> Result<(), MarketError> {
        let subject = self.subject(actor).await?;
        decide(&*self.policy, &subject, self.purpose, action, resource).map_err(|denial| {
            if let Some(noted) = &self.noted {
                noted.note(action, &denial);
            }
            Refusal::denied(action, denial).into()
        })
    }

    /// An actor's role in a hub.
    pub async fn hub_role(&self, actor: Actor, hub: HubId) -> Result<Option<HubRole>, MarketError> {
        let Actor::User(user) = actor else { return Ok(None) };
        let membership = self.store.get::<Membership>(&MembershipId { hub, user }).await?;
        Ok(membership.map(|found| found.entity.role))
    }

    pub(super) async fn authorize_in_hub(
        &self,
        actor: Actor,
        action: Action,
        hub: HubId,
    ) -> Result<(), MarketError> {
        let role = self.hub_role(actor, hub).await?;
        self.authorize(actor, action, &Resource::of_hub(role)).await
    }

    /// The user of this login name, with the password's hash: for who checks logins.
    pub async fn login(&self, name: &Slug) -> Result<Option<(User, Option<UserSecret>)>, MarketError> {
        let Some(reserved) = self.store.get::<Reservation>(&Reservation::user(name)).await? else {
            return Ok(None);
        };
        let Ok(id) = reserved.entity.holder.parse() else { return Ok(None) };
        let Some(user) = self.store.get::<User>(&id).await? else { return Ok(None) };
        let secret = self.store.get::<UserSecret>(&id).await?;
        Ok(Some((user.entity, secret.map(|found| found.entity))))
    }

    /// The device of this login with its hub: for who checks logins.
    pub async fn device_login(&self, auth_id: &AuthId) -> Result<Option<(Device, Hub)>, MarketError> {
        let name = Reservation::device(auth_id);
        let Some(reserved) = self.store.get::<Reservation>(&name).await? else { return Ok(None) };
        let Ok(id) = reserved.entity.holder.parse() else { return Ok(None) };
        let Some(device) = self.store.get::<Device>(&id).await? else { return Ok(None) };
        let Some(hub) = self.store.get::<Hub>(&device.entity.hub).await? else { return Ok(None) };
        Ok(Some((device.entity, hub.entity)))
    }

    /// The hashes of a device's passwords: for who checks logins.
    pub async fn device_secrets(&self, device: &Device) -> Result<Vec<DeviceSecret>, MarketError> {
        let mut keys = Vec::new();
        for credential in &device.credentials {
            if credential.kind == CredentialKind::Password {
                keys.push(DeviceSecret::key(&credential.id)?);
            }
        }
        let cells = if keys.is_empty() { Vec::new() } else { self.store.read(&keys).await? };
        let mut secrets = Vec::new();
        for (key, cell) in keys.iter().zip(cells) {
            secrets.extend(read_if(key, cell)?);
        }
        Ok(secrets)
    }

    /// The order of this id with its buyer: for who checks logins.
    pub async fn order_login(&self, order: OrderId) -> Result<Option<(Order, User)>, MarketError> {
        let Some(order) = self.store.get::<Order>(&order).await? else { return Ok(None) };
        let Some(buyer) = self.store.get::<User>(&order.entity.buyer).await? else { return Ok(None) };
        Ok(Some((order.entity, buyer.entity)))
    }

    /// A user's profile.
    pub async fn user(&self, actor: Actor, user: UserId) -> Result<User, MarketError> {
        self.authorize(actor, Action::ViewUser, &Resource::of_user(user)).await?;
        self.entity(&user, "user").await
    }

    /// A hub's public face.
    pub async fn hub(&self, hub: HubId) -> Result<Hub, MarketError> {
        self.entity(&hub, "hub").await
    }

    /// The hubs that a user is a member of, each with the membership.
    pub async fn memberships(&self, actor: Actor, user: UserId) -> Result<Vec<Membership>, MarketError> {
        self.authorize(actor, Action::ViewUser, &Resource::of_user(user)).await?;
        Ok(self.store.all(memberships_of(user)?).await?)
    }

    /// A device. Holds password hashes: what is shown to people leaves them out.
    pub async fn device(&self, actor: Actor, device: DeviceId) -> Result<Device, MarketError> {
        let device: Device = self.entity(&device, "device").await?;
        self.authorize_in_hub(actor, Action::ViewHub, device.hub).await?;
        Ok(device)
    }

    /// A product. A draft is seen by its hub alone.
    pub async fn product(&self, actor: Actor, product: ProductId) -> Result<Product, MarketError> {
        let product: Product = self.entity(&product, "product").await?;
        if product.state == ProductState::Draft {
            let seen = self.authorize_in_hub(actor, Action::ViewHub, product.hub).await;
            seen.map_err(|error| hidden(error, "product"))?;
        }
        Ok(product)
    }

    /// An order. A hub sees the orders of its products.
    pub async fn order(&self, actor: Actor, order: OrderId) -> Result<Order, MarketError> {
        let Some(found) = self.store.get::<Order>(&order).await? else { return Err(not_found("order")) };
        let order = found.entity;
        let owner = Resource::of_user(order.buyer);
        let as_buyer = self.authorize(actor, Action::ViewOrder, &owner).await;
        match as_buyer.map_err(|error| hidden(error, "order")) {
            Err(MarketError::Refused(refusal)) => {
                match self.authorize_in_hub(actor, Action::ViewHub, order.terms.hub).await {
                    // The program lacks a scope for what the person would see as the buyer.
                    Err(MarketError::Refused(Refusal::Forbidden { .. })) => Err(refusal.into()),
                    other => other.map(|()| order).map_err(|error| hidden(error, "order")),
                }
            }
            other => other.map(|()| order),
        }
    }

    /// What an order was used for and what it cost.
    pub async fn statement(&self, actor: Actor, order: OrderId) -> Result<Statement, MarketError> {
        let order = self.order(actor, order).await?;
        let usage: Usage = self.entity(&GrantId::of(order.id), "usage").await?;
        Statement::of(&order, &usage).map_err(|error| MarketError::Refused(error.into()))
    }

    /// An order's grant.
    pub async fn grant_of(&self, actor: Actor, order: OrderId) -> Result<Grant, MarketError> {
        let order = self.order(actor, order).await?;
        self.entity(&GrantId::of(order.id), "grant").await
    }

    pub(super) async fn authorize_account(&self, actor: Actor, holder: Holder) -> Result<(), MarketError> {
        match holder {
            Holder::Available(user) => {
                self.authorize(actor, Action::ViewAccount, &Resource::of_user(user)).await
            }
            Holder::Held(order) => self.order(actor, order).await.map(|_| ()),
            Holder::Earned(hub) => self.authorize_in_hub(actor, Action::ViewHub, hub).await,
            Holder::Fees | Holder::External => {
                self.authorize(actor, Action::Audit, &Resource::MARKETPLACE).await
            }
        }
    }

    /// What a holder has, in each currency that was ever moved.
    pub async fn balances(&self, actor: Actor, holder: Holder) -> Result<Vec<Balance>, MarketError> {
        self.authorize_account(actor, holder).await?;
        let probe = Account { holder, currency: Currency::EUR }.to_string();
        let prefix = probe.strip_suffix("EUR").unwrap_or_default();
        let scan = Scan::prefix(&crate::ledger::BALANCES, prefix).limit(limits::PAGE_ROWS);
        let mut balances = Vec::new();
        for row in self.store.scan(&scan).await?.rows {
            let Row::Counter { key, units } = row else { continue };
            let currency = key.id().strip_prefix(prefix).and_then(|code| code.parse().ok());
            if let (Some(currency), Ok(amount)) = (currency, Amount::new(units.get())) {
                balances.push(Balance { currency, amount });
            }
        }
        Ok(balances)
    }

    async fn numbered<T: serde::de::DeserializeOwned>(
        &self,
        stream: Key,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Numbered<T>>, MarketError> {
        let read = |body: &Body| {
            serde_json::from_str(body.as_str()).map_err(|error| {
                StoreError::new(StoreErrorKind::Corrupt, "an entry cannot be read").with_source(error)
            })
        };
        let scan = declared(Scan::entries(stream))?.limit(limit);
        let scan = declared(scan.after(Cursor::after_position(after)))?;
        let mut entries = Vec::new();
        for row in self.store.scan(&scan).await?.rows {
            if let Row::Entry { position, body, link } = row {
                entries.push(Numbered { position, link, entry: read(&body)? });
            }
        }
        Ok(entries)
    }

    /// What happened after this position of the outbox.
    pub async fn events(
        &self,
        actor: Actor,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Numbered<OutboxEntry>>, MarketError> {
        self.authorize(actor, Action::Audit, &Resource::MARKETPLACE).await?;
        self.numbered_events(after, limit).await
    }

    /// As [`events`](Self::events), for the marketplace itself.
    pub(super) async fn numbered_events(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Numbered<OutboxEntry>>, MarketError> {
        self.numbered(outbox::stream()?, after, limit).await
    }

    /// The commands after this position of the audit log.
    pub async fn audit_log(
        &self,
        actor: Actor,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Numbered<AuditEntry>>, MarketError> {
        self.authorize(actor, Action::Audit, &Resource::MARKETPLACE).await?;
        self.numbered(audit::stream()?, after, limit).await
    }

    /// Checks the audit log's hash chain from its start.
    pub async fn verify_audit(&self, actor: Actor) -> Result<ChainReport, MarketError> {
        self.authorize(actor, Action::Audit, &Resource::MARKETPLACE).await?;
        Ok(audit::verify_chain(&*self.store, audit::stream()?).await?)
    }
}

#[async_trait]
impl Directory for Marketplace {
    async fn publish_rights(&self, device: DeviceId) -> Result<Option<Vec<PublishRight>>, StoreError> {
        let Some(device) = self.store.get::<Device>(&device).await? else { return Ok(None) };
        let device = device.entity;
        let hub = self.store.get::<Hub>(&device.hub).await?;
        let hub_active = hub.is_some_and(|hub| hub.entity.state == HubState::Active);
        if device.state != DeviceState::Active || !hub_active {
            return Ok(None);
        }
        let scan =
            declared(Scan::index(Source::collection(), "by_device", vec![device.id.to_string().into()]))?;
        let mut rights = Vec::new();
        for source in self.store.all::<Source>(scan).await? {
            if let Some(product) = self.store.get::<Product>(&source.product).await? {
                let product = product.entity;
                if product.state == ProductState::Listed {
                    let terms = self.store.get::<StreamTerms>(&product.id).await?;
                    let terms = terms.map(|terms| Arc::new(terms.entity));
                    rights.push(PublishRight { product: product.id, topic: product.topic, terms });
                }
            }
        }
        Ok(Some(rights))
    }

    async fn grant(&self, grant: GrantId) -> Result<Option<GrantView>, StoreError> {
        let keys = [Grant::key(&grant)?, Order::key(&grant.order())?];
        let mut cells = self.store.read(&keys).await?.into_iter();
        let (Some(Some(Cell::Record { body: grant, .. })), Some(Some(Cell::Record { body: order, .. }))) =
            (cells.next(), cells.next())
        else {
            return Ok(None);
        };
        let [grant_key, order_key] = keys;
        let (grant, order) = (Grant::from_body(&grant_key, &grant)?, Order::from_body(&order_key, &order)?);
        let keys = [Product::key(&order.product)?, Hub::key(&order.terms.hub)?, User::key(&order.buyer)?];
        let mut cells = self.store.read(&keys).await?.into_iter();
        let [product_key, hub_key, buyer_key] = &keys;
        let listed = read_if::<Product>(product_key, cells.next().flatten())?
            .is_some_and(|product| product.state == ProductState::Listed);
        let hub =
            read_if::<Hub>(hub_key, cells.next().flatten())?.is_some_and(|hub| hub.state == HubState::Active);
        let buyer = read_if::<User>(buyer_key, cells.next().flatten())?
            .is_some_and(|buyer| buyer.state == UserState::Active);
        let open = grant.is_open(self.now()) && listed && hub && buyer;
        Ok(Some(view(&grant, &order, open)))
    }
}

pub(super) fn read_if<E: Entity>(key: &Key, cell: Option<Cell>) -> Result<Option<E>, StoreError> {
    match cell {
        Some(Cell::Record { body, .. }) => E::from_body(key, &body).map(Some),
        _ => Ok(None),
    }
}
