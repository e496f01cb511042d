//! The marketplace's queries, as a trace asks them.

use super::known::{absent, pick};
use super::step::Look;
use super::world::{World, fit, json, refused};
use crate::access::{Actor, HubRole};
use crate::device::DeviceState;
use crate::gate::Directory as _;
use crate::id::{ClientId, DeviceId, GrantId, HubId, OrderId, ProductId, UserId};
use crate::ledger::{Account, Holder};
use crate::market::{
    CatalogueFilter, ClientFilter, MarketError, NoticeFilter, OrderFilter, PageRequest, Period, TimeOrder,
    UserFilter,
};
use crate::money::Currency;
use crate::notice::Recipient;
use crate::oauth::ClientState;
use crate::offer::OfferState;
use crate::order::OrderState;
use crate::product::ProductState;
use crate::store::StoreError;
use crate::user::UserState;

/// All pages of a list, with their cursors, up to a refusal.
macro_rules! pages {
    ($limit:expr, $page:ident => $list:expr) => {{
        let mut words = String::new();
        let mut request = PageRequest { after: None, limit: $limit };
        loop {
            let $page = &request;
            match $list.await {
                Ok(paged) => {
                    words.push_str(&json(&paged)?);
                    words.push('\n');
                    let Some(next) = paged.next else { break Ok(words) };
                    // As a caller would send it back.
                    request.after = Some(fit(next.to_string().parse())?);
                }
                Err(error) => break refused(error),
            }
        }
    }};
}

fn said(answer: Result<impl serde::Serialize, MarketError>) -> Result<String, StoreError> {
    match answer {
        Ok(answer) => json(&answer),
        Err(error) => refused(error),
    }
}

/// All orders, and some of them.
fn order_filters() -> [OrderFilter; 2] {
    let active = OrderFilter { state: Some(OrderState::Active), ..OrderFilter::default() };
    [OrderFilter::default(), active]
}

/// A list as it is, and a part of it in the other order.
fn both(whole: Result<String, StoreError>, part: Result<String, StoreError>) -> Result<String, StoreError> {
    Ok(format!("{}; {}", whole?, part?))
}

impl World {
    pub(super) async fn look(&self, look: Look, actor: Actor) -> Result<String, StoreError> {
        let market = self.market()?;
        let user = |choice| -> UserId { pick(&self.known.users, choice, absent()) };
        let hub = |choice| -> HubId { pick(&self.known.hubs, choice, (absent(), absent())).0 };
        let product = |choice| -> ProductId { pick(&self.known.products, choice, (absent(), absent())).0 };
        let order =
            |choice| -> OrderId { pick(&self.known.orders, choice, (absent(), absent(), absent())).0 };
        match look {
            Look::Catalogue { page } => {
                let (all, now) = (CatalogueFilter::default(), market.now());
                let created = Period { since: None, until: Some(now) };
                let first = CatalogueFilter { hub: Some(hub(0)), created };
                both(
                    pages!(page, page => market.catalogue(&all, TimeOrder::Newest, page)),
                    pages!(page, page => market.catalogue(&first, TimeOrder::Oldest, page)),
                )
            }
            Look::Roles => said(market.roles(actor).await),
            Look::Ontology { page } => {
                let last = said(market.ontology_extension(actor).await)?;
                let versions: Result<String, StoreError> =
                    pages!(page, page => market.ontology_versions(actor, page));
                Ok(format!("{last}; {}", versions?))
            }
            Look::Users { page } => {
                let active = UserFilter { state: Some(UserState::Active), role: None };
                both(
                    pages!(page, page => market.users(actor, &UserFilter::default(), TimeOrder::Oldest, page)),
                    pages!(page, page => market.users(actor, &active, TimeOrder::Newest, page)),
                )
            }
            Look::Memberships(who) => said(market.memberships(actor, user(who)).await),
            Look::Members { hub: of, page } => {
                let (hub, manager) = (hub(of), Some(HubRole::Manager));
                both(
                    pages!(page, page => market.members(actor, hub, None, page)),
                    pages!(page, page => market.members(actor, hub, manager, page)),
                )
            }
            Look::Devices { hub: of, page } => {
                let (hub, active) = (hub(of), Some(DeviceState::Active));
                both(
                    pages!(page, page => market.devices(actor, hub, None, TimeOrder::Oldest, page)),
                    pages!(page, page => market.devices(actor, hub, active, TimeOrder::Newest, page)),
                )
            }
            Look::Products { hub: of, page } => {
                let (hub, listed) = (hub(of), Some(ProductState::Listed));
                both(
                    pages!(page, page => market.products(actor, hub, None, TimeOrder::Oldest, page)),
                    pages!(page, page => market.products(actor, hub, listed, TimeOrder::Newest, page)),
                )
            }
            Look::Offers { product: of, page } => {
                let (product, sold) = (product(of), Some(OfferState::Published));
                both(
                    pages!(page, page => market.offers(actor, product, None, TimeOrder::Newest, page)),
                    pages!(page, page => market.offers(actor, product, sold, TimeOrder::Oldest, page)),
                )
            }
            Look::Ratings { product: of, page } => {
                let product = product(of);
                both(
                    pages!(page, page => market.ratings(product, Period::default(), TimeOrder::Newest, page)),
                    pages!(page, page => market.ratings(product, Period::default(), TimeOrder::Oldest, page)),
                )
            }
            Look::Orders { buyer, page } => {
                let (buyer, [all, some]) = (user(buyer), order_filters());
                both(
                    pages!(page, page => market.orders(actor, buyer, &all, TimeOrder::Newest, page)),
                    pages!(page, page => market.orders(actor, buyer, &some, TimeOrder::Oldest, page)),
                )
            }
            Look::Sales { hub: of, page } => {
                let (hub, [all, some]) = (hub(of), order_filters());
                both(
                    pages!(page, page => market.sales(actor, hub, &all, TimeOrder::Newest, page)),
                    pages!(page, page => market.sales(actor, hub, &some, TimeOrder::Oldest, page)),
                )
            }
            Look::Statement(of) => said(market.statement(actor, order(of)).await),
            Look::Clients { owner, page } => {
                let (owner, all) = (user(owner), ClientFilter::default());
                let active = ClientFilter { state: Some(ClientState::Active), kind: None };
                both(
                    pages!(page, page => market.clients(actor, owner, &all, TimeOrder::Oldest, page)),
                    pages!(page, page => market.clients(actor, owner, &active, TimeOrder::Newest, page)),
                )
            }
            Look::Client(of) => {
                let client: ClientId = pick(&self.known.clients, of, (absent(), absent())).0;
                Ok(format!(
                    "{}; {:?}",
                    said(market.client(actor, client).await)?,
                    market.client_login(client).await
                ))
            }
            Look::Grant(of) => {
                let seen_by_gates = market.grant(GrantId::of(order(of))).await?;
                Ok(format!("{}; {seen_by_gates:?}", said(market.grant_of(actor, order(of)).await)?))
            }
            Look::PublishRights(device) => {
                let device: DeviceId = pick(&self.known.devices, device, (absent(), absent())).0;
                Ok(format!("{:?}", market.publish_rights(device).await?))
            }
            Look::Stream(of) => {
                let of = product(of);
                let (terms, quality) =
                    (market.stream_terms(actor, of).await, market.quality(actor, of).await);
                // As the marketplace: what a person sees is counted, and so no query.
                let sample = market.sample(Actor::System, of).await;
                Ok(format!("{}; {}; {}", said(terms)?, said(quality)?, said(sample)?))
            }
            Look::Balances(of) => said(market.balances(actor, Holder::Available(user(of))).await),
            Look::Entries { user: of, page } => {
                let account = Account { holder: Holder::Available(user(of)), currency: Currency::EUR };
                let before = Period { since: None, until: Some(market.now()) };
                both(
                    pages!(page, page => market.entries(actor, account, Period::default(), TimeOrder::Newest, page)),
                    pages!(page, page => market.entries(actor, account, before, TimeOrder::Oldest, page)),
                )
            }
            Look::Objects { owner, filter, page } => {
                let (filter, order) = super::objects::listed(filter, user(owner))?;
                pages!(page, page => market.objects(actor, &filter, order, page))
            }
            Look::Object(of) => {
                let of = self.object(of).0;
                let page = PageRequest::default();
                let (seen, history) =
                    (market.object(actor, of).await, market.object_history(actor, of, &page).await);
                Ok(format!("{}; {}; {:?}", said(seen)?, said(history)?, market.public_object(of).await))
            }
            Look::Events { after } => said(market.events(actor, after, 7).await),
            Look::AuditLog { after } => said(market.audit_log(actor, after, 7).await),
            Look::Notices { user: of, page } => {
                let of = user(of);
                let (actor, whose) = (Actor::User(of), Recipient::User(of));
                let (all, unread) =
                    (NoticeFilter::default(), NoticeFilter { read: Some(false), ..NoticeFilter::default() });
                let held = said(market.notice_box(actor, whose).await)?;
                let found = both(
                    pages!(page, page => market.notices(actor, whose, &all, TimeOrder::Newest, page)),
                    pages!(page, page => market.notices(actor, whose, &unread, TimeOrder::Oldest, page)),
                );
                Ok(format!("{held} {}", found?))
            }
        }
    }
}
