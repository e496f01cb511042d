//! The marketplace's queries, as a trace asks them.

use super::known::{absent, pick};
use super::step::Look;
use super::world::{World, fit, json, refused};
use crate::access::Actor;
use crate::gate::Directory as _;
use crate::id::{ClientId, DeviceId, GrantId, HubId, OrderId, ProductId, UserId};
use crate::ledger::{Account, Holder};
use crate::market::{MarketError, PageRequest};
use crate::money::Currency;
use crate::notice::Recipient;
use crate::store::StoreError;

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

impl World {
    pub(super) async fn look(&self, look: Look, actor: Actor) -> Result<String, StoreError> {
        let market = self.market()?;
        let user = |choice| -> UserId { pick(&self.known.users, choice, absent()) };
        let hub = |choice| -> HubId { pick(&self.known.hubs, choice, (absent(), absent())).0 };
        let product = |choice| -> ProductId { pick(&self.known.products, choice, (absent(), absent())).0 };
        let order =
            |choice| -> OrderId { pick(&self.known.orders, choice, (absent(), absent(), absent())).0 };
        match look {
            Look::Catalogue { page } => pages!(page, page => market.catalogue(page)),
            Look::Roles => said(market.roles(actor).await),
            Look::Ontology { page } => {
                let last = said(market.ontology_extension(actor).await)?;
                let versions: Result<String, StoreError> =
                    pages!(page, page => market.ontology_versions(actor, page));
                Ok(format!("{last}; {}", versions?))
            }
            Look::Users { page } => pages!(page, page => market.users(actor, page)),
            Look::Memberships(who) => said(market.memberships(actor, user(who)).await),
            Look::Members { hub: of, page } => pages!(page, page => market.members(actor, hub(of), page)),
            Look::Devices { hub: of, page } => pages!(page, page => market.devices(actor, hub(of), page)),
            Look::Products { hub: of, page } => pages!(page, page => market.products(actor, hub(of), page)),
            Look::Offers { product: of, page } => {
                pages!(page, page => market.offers(actor, product(of), page))
            }
            Look::Ratings { product: of, page } => pages!(page, page => market.ratings(product(of), page)),
            Look::Orders { buyer, page } => pages!(page, page => market.orders(actor, user(buyer), page)),
            Look::Sales { hub: of, page } => pages!(page, page => market.sales(actor, hub(of), page)),
            Look::Statement(of) => said(market.statement(actor, order(of)).await),
            Look::Clients { owner, page } => pages!(page, page => market.clients(actor, user(owner), page)),
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
                pages!(page, page => market.entries(actor, account, page))
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
                let first = PageRequest { after: None, limit: page };
                let (held, found) = match market.notices(actor, whose, &first).await {
                    Ok(found) => found,
                    Err(error) => return refused(error),
                };
                Ok(format!("{} {}", json(&held)?, json(&found)?))
            }
        }
    }
}
