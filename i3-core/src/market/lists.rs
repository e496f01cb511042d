//! Lists of what grows: which part of it, and in which order of time.
//!
//! A list goes along an index; what the index does not tell apart is looked at, a bounded number of records for a page.

use serde::{Deserialize, Serialize};

use super::queries::declared;
use super::{MarketError, Marketplace, PageRequest, Paged, Refusal};
use crate::access::{Action, Actor, HubRole, Resource};
use crate::device::{Device, DeviceState};
use crate::hub::Membership;
use crate::id::{HubId, ProductId, UserId};
use crate::invitation::Invitation;
use crate::ledger::{Account, Entry};
use crate::notice::{Notice, Recipient};
use crate::oauth::{Client, ClientKind, ClientState};
use crate::offer::{Offer, OfferState};
use crate::order::{Order, OrderState};
use crate::product::{Product, ProductState};
use crate::rating::Rating;
use crate::role::RoleName;
use crate::store::{By, Cursor, Entity, Scan, StoreExt, Value, limits};
use crate::time::Timestamp;
use crate::user::{User, UserState};

/// How many records a list looks at for one page. A page for which that was not enough has fewer items than were asked
/// for, and still says where the next one begins: so no page costs more than this, whatever is filtered.
const MOST_LOOKED_AT: usize = 500;
/// How many records are read at once, after the first time.
const BATCH: usize = 100;

/// In which order of time a list is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TimeOrder {
    /// The last comes first.
    #[default]
    Newest,
    /// The first comes first.
    Oldest,
}

impl TimeOrder {
    fn of(self, scan: Scan) -> Scan {
        match self {
            Self::Newest => scan.backward(),
            Self::Oldest => scan,
        }
    }
}

/// A part of time; all of it if nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl Period {
    fn has(self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    fn of(self, scan: Scan) -> Result<Scan, MarketError> {
        let time = |time: Option<Timestamp>| time.map(|time| time.micros().into());
        Ok(declared(scan.range(time(self.since), time(self.until)))?)
    }
}

/// Which orders a list has: those to which all of this applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// In this state.
    pub state: Option<OrderState>,
    /// Of this product.
    pub product: Option<ProductId>,
    /// Placed then.
    pub placed: Period,
}

impl OrderFilter {
    /// Whether an order has the state and the product; when it was placed is the index's.
    fn admits(&self, order: &Order) -> bool {
        fits(self.state, order.state) && fits(self.product, order.product)
    }
}

/// Which users a list has: those to which all of this applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// In this state.
    pub state: Option<UserState>,
    /// Who have this role.
    pub role: Option<RoleName>,
}

impl UserFilter {
    fn admits(&self, user: &User) -> bool {
        fits(self.state, user.state) && self.role.as_ref().is_none_or(|role| user.roles.contains(role))
    }
}

/// Which OAuth2 clients a list has: those to which all of this applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientFilter {
    /// In this state.
    pub state: Option<ClientState>,
    /// Of this kind.
    pub kind: Option<ClientKind>,
}

/// Which listed products a list has: those to which all of this applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CatalogueFilter {
    /// Of this hub.
    pub hub: Option<HubId>,
    /// Created then.
    pub created: Period,
}

/// Which notices a list has: those to which all of this applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoticeFilter {
    /// Those that were read, or those that were not.
    pub read: Option<bool>,
    /// Of what happened then.
    pub at: Period,
}

fn fits<T: Copy + PartialEq>(wanted: Option<T>, found: T) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

/// Where a scan is at this record.
fn place<E: Entity>(scan: &Scan, item: &E) -> Cursor {
    let id = item.id().to_string();
    let By::Index { index, .. } = scan.by_what() else { return Cursor::after_id(id) };
    let values: Vec<(&str, Option<Value>)> =
        E::collection().columns.iter().map(|column| column.name).zip(item.values()).collect();
    let of =
        |name: &&str| values.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone());
    Cursor::after_indexed(index.columns.iter().filter_map(of).collect(), id)
}

impl Marketplace {
    /// A page of what is let through. It looks at no more than [`MOST_LOOKED_AT`] records, or as many as items are
    /// asked for: it may have fewer items, and there may be more as long as there is a `next`.
    async fn filtered<E: Entity>(
        &self,
        scan: Scan,
        page: &PageRequest,
        admits: impl Fn(&E) -> bool + Send + Sync,
    ) -> Result<Paged<E>, MarketError> {
        let limit = page.limit.clamp(1, limits::PAGE_ROWS);
        let (mut from, mut items) = (page.after.clone(), Vec::new());
        let (mut rows, mut looked_at) = (limit, 0);
        loop {
            let mut part = scan.clone().limit(rows);
            if let Some(cursor) = from {
                part = part.after(cursor).map_err(|error| Refusal::invalid("cursor", error))?;
            }
            let (found, next) = self.store.list::<E>(&part).await?;
            looked_at += rows;
            let mut found = found.into_iter().filter(|item| admits(item));
            items.extend(found.by_ref().take(limit - items.len()));
            if found.next().is_some() {
                return Ok(Paged { next: items.last().map(|last| place(&scan, last)), items });
            }
            if next.is_none() || items.len() >= limit || looked_at >= MOST_LOOKED_AT {
                return Ok(Paged { items, next });
            }
            (from, rows) = (next, BATCH);
        }
    }

    /// The users, in the order of their ids, which is to the millisecond that in which they registered. A page looks at
    /// a bounded number of them: it may have fewer items than were asked for, and there may be more as long as there is
    /// a `next`.
    pub async fn users(
        &self,
        actor: Actor,
        filter: &UserFilter,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<User>, MarketError> {
        self.authorize(actor, Action::ManageUsers, &Resource::MARKETPLACE).await?;
        let scan = order.of(Scan::ids(User::collection()));
        self.filtered(scan, page, |user| filter.admits(user)).await
    }

    /// The members of a hub, in the order of their ids, which is that in which they registered as users. Pages as of
    /// [`users`](Self::users).
    pub async fn members(
        &self,
        actor: Actor,
        hub: HubId,
        role: Option<HubRole>,
        page: &PageRequest,
    ) -> Result<Paged<Membership>, MarketError> {
        self.authorize_in_hub(actor, Action::ViewHub, hub).await?;
        let scan = Scan::prefix(Membership::collection(), format!("{hub}:"));
        self.filtered(scan, page, |member: &Membership| fits(role, member.role)).await
    }

    /// The devices of a hub, in the order of their ids, which is to the millisecond that in which they were registered.
    /// Pages as of [`users`](Self::users).
    pub async fn devices(
        &self,
        actor: Actor,
        hub: HubId,
        state: Option<DeviceState>,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Device>, MarketError> {
        self.authorize_in_hub(actor, Action::ViewHub, hub).await?;
        let scan = declared(Scan::index(Device::collection(), "by_hub", vec![hub.to_string().into()]))?;
        self.filtered(order.of(scan), page, |device: &Device| fits(state, device.state)).await
    }

    /// A user's OAuth2 clients, in the order of their ids, which is to the millisecond that in which they were
    /// registered. Pages as of [`users`](Self::users).
    pub async fn clients(
        &self,
        actor: Actor,
        owner: UserId,
        filter: &ClientFilter,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Client>, MarketError> {
        self.authorize(actor, Action::ManageClient, &Resource::of_user(owner)).await?;
        let scan = declared(Scan::index(Client::collection(), "by_owner", vec![owner.to_string().into()]))?;
        let admits = |client: &Client| fits(filter.state, client.state) && fits(filter.kind, client.kind);
        self.filtered(order.of(scan), page, admits).await
    }

    /// The invitations, in the order of their ids, which is to the millisecond that in which they were given; those
    /// that are good now, or those that are not. For who manages users. Pages as of [`users`](Self::users).
    pub async fn invitations(
        &self,
        actor: Actor,
        good: Option<bool>,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Invitation>, MarketError> {
        self.authorize(actor, Action::ManageUsers, &Resource::MARKETPLACE).await?;
        let now = self.now();
        let scan = order.of(Scan::ids(Invitation::collection()));
        self.filtered(scan, page, |invitation: &Invitation| fits(good, invitation.is_good(now))).await
    }

    /// What is in a box, in the order in which it happened. Users see their own, and who manages users the
    /// administrators'.
    pub async fn notices(
        &self,
        actor: Actor,
        to: Recipient,
        filter: &NoticeFilter,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Notice>, MarketError> {
        self.authorize_box(actor, to).await?;
        let scan = order.of(Scan::prefix(Notice::collection(), format!("{to}:")));
        let admits = |notice: &Notice| fits(filter.read, notice.read.is_some()) && filter.at.has(notice.at);
        self.filtered(scan, page, admits).await
    }

    /// The listed products as a catalogue has them, without what buyers think of them.
    pub(super) async fn listed_products(
        &self,
        filter: &CatalogueFilter,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Product>, MarketError> {
        let (index, equal) = match filter.hub {
            Some(hub) => ("by_hub", hub.to_string()),
            None => ("by_state", ProductState::Listed.as_str().to_owned()),
        };
        let scan = declared(Scan::index(Product::collection(), index, vec![equal.into()]))?;
        let scan = order.of(filter.created.of(scan)?);
        self.filtered(scan, page, |product: &Product| product.state == ProductState::Listed).await
    }

    /// The products of a hub, drafts included, in the order in which they were created. Pages as of
    /// [`users`](Self::users).
    pub async fn products(
        &self,
        actor: Actor,
        hub: HubId,
        state: Option<ProductState>,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Product>, MarketError> {
        self.authorize_in_hub(actor, Action::ViewHub, hub).await?;
        let scan = declared(Scan::index(Product::collection(), "by_hub", vec![hub.to_string().into()]))?;
        self.filtered(order.of(scan), page, |product: &Product| fits(state, product.state)).await
    }

    /// The offers for a product, in the order in which they were published. Pages as of [`users`](Self::users).
    pub async fn offers(
        &self,
        actor: Actor,
        product: ProductId,
        state: Option<OfferState>,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Offer>, MarketError> {
        let product = self.product(actor, product).await?;
        let equal = vec![product.id.to_string().into()];
        let scan = declared(Scan::index(Offer::collection(), "by_product", equal))?;
        self.filtered(order.of(scan), page, |offer: &Offer| fits(state, offer.state)).await
    }

    /// The ratings of a product that were last given then, in the order in which they were.
    pub async fn ratings(
        &self,
        product: ProductId,
        given: Period,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Rating>, MarketError> {
        let equal = vec![product.to_string().into()];
        let scan = declared(Scan::index(Rating::collection(), "by_product", equal))?;
        self.page(order.of(given.of(scan)?), page).await
    }

    /// A buyer's orders, in the order in which they were placed. Pages as of [`users`](Self::users).
    pub async fn orders(
        &self,
        actor: Actor,
        buyer: UserId,
        filter: &OrderFilter,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Order>, MarketError> {
        self.authorize(actor, Action::ViewOrder, &Resource::of_user(buyer)).await?;
        self.orders_along("by_buyer", buyer.to_string(), filter, order, page).await
    }

    /// The orders of a hub's products, in the order in which they were placed. Pages as of [`users`](Self::users).
    pub async fn sales(
        &self,
        actor: Actor,
        hub: HubId,
        filter: &OrderFilter,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Order>, MarketError> {
        self.authorize_in_hub(actor, Action::ViewHub, hub).await?;
        self.orders_along("by_hub", hub.to_string(), filter, order, page).await
    }

    async fn orders_along(
        &self,
        index: &'static str,
        of: String,
        filter: &OrderFilter,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Order>, MarketError> {
        let scan = declared(Scan::index(Order::collection(), index, vec![of.into()]))?;
        let scan = order.of(filter.placed.of(scan)?);
        self.filtered(scan, page, |order| filter.admits(order)).await
    }

    /// The entries of an account of this time, in its order.
    pub async fn entries(
        &self,
        actor: Actor,
        account: Account,
        period: Period,
        order: TimeOrder,
        page: &PageRequest,
    ) -> Result<Paged<Entry>, MarketError> {
        self.authorize_account(actor, account.holder).await?;
        let equal = vec![account.to_string().into()];
        let scan = declared(Scan::index(Entry::collection(), "by_account", equal))?;
        self.page(order.of(period.of(scan)?), page).await
    }
}
