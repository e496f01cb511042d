//! What belongs to others than the stranger, and every question that can be asked about it.

use i3_core::market::{ClientFilter, NoticeFilter};

use super::*;

pub(super) struct OthersObject {
    pub(super) object: VirtualObject,
    pub(super) files: Vec<File>,
}

/// What belongs to others than the stranger.
pub(super) struct Others {
    pub(super) users: Vec<UserId>,
    pub(super) hubs: Vec<Hub>,
    pub(super) devices: Vec<Device>,
    pub(super) products: Vec<Product>,
    pub(super) orders: Vec<Order>,
    pub(super) clients: Vec<Client>,
    pub(super) invitations: Vec<Invitation>,
    pub(super) objects: Vec<OthersObject>,
    pub(super) uploads: Vec<FileUpload>,
    pub(super) things: Vec<Thing>,
}

async fn all<E: Entity>(store: &dyn Store, stranger: &Stranger) -> Result<Vec<E>, Stop> {
    let mut all: Vec<E> = store.all(Scan::ids(E::collection())).await?;
    let mut own = Vec::new();
    for one in &all {
        own.push(stranger.own.contains(&E::key(&one.id())?.to_string()));
    }
    let mut own = own.into_iter();
    all.retain(|_| !own.next().unwrap_or_default());
    Ok(all)
}

impl Others {
    pub(super) async fn than(stranger: &Stranger, market: &Marketplace) -> Result<Self, Stop> {
        let store = market.store();
        let mut objects = Vec::new();
        for object in all::<VirtualObject>(store, stranger).await? {
            let files = match market.object(Actor::System, object.id).await {
                Ok(view) => view.content.files,
                Err(_) => Vec::new(),
            };
            objects.push(OthersObject { object, files });
        }
        Ok(Self {
            users: all::<User>(store, stranger).await?.iter().map(Entity::id).collect(),
            hubs: all(store, stranger).await?,
            devices: all(store, stranger).await?,
            products: all(store, stranger).await?,
            orders: all(store, stranger).await?,
            clients: all(store, stranger).await?,
            invitations: all(store, stranger).await?,
            objects,
            uploads: all(store, stranger).await?,
            things: all(store, stranger).await?,
        })
    }

    /// The names of what nobody else may know of.
    pub(super) fn private(&self) -> Vec<String> {
        let mut private: Vec<String> = Vec::new();
        // A product that is no draft is public, and says which devices it comes from.
        let shown = self.products.iter().filter(|one| one.state != ProductState::Draft);
        let shown: BTreeSet<DeviceId> = shown.flat_map(|one| one.devices.iter().copied()).collect();
        let devices = self.devices.iter().filter(|one| !shown.contains(&one.id));
        private.extend(devices.map(|one| one.id.to_string()));
        private.extend(self.orders.iter().map(|one| one.id.to_string()));
        private.extend(self.clients.iter().map(|one| one.id.to_string()));
        private.extend(self.invitations.iter().map(|one| one.id.to_string()));
        private.extend(self.uploads.iter().map(|one| one.id.to_string()));
        let drafts = self.products.iter().filter(|one| one.state == ProductState::Draft);
        private.extend(drafts.map(|one| one.id.to_string()));
        let hidden = self.objects.iter().filter(|one| one.object.public_face().is_none());
        private.extend(hidden.map(|one| one.object.id.to_string()));
        let hidden = self.things.iter().filter(|one| one.visibility == Visibility::Private);
        private.extend(hidden.map(|one| one.id.as_str().to_owned()));
        private
    }

    /// What somebody is answered to every query about all of it.
    #[expect(clippy::too_many_lines, reason = "the queries of the marketplace, one after the other")]
    pub(super) async fn seen(
        &self,
        market: &Marketplace,
        actor: Actor,
        own_hub: Option<HubId>,
    ) -> Vec<(String, String)> {
        let page = &PageRequest { after: None, limit: 50 };
        let mut seen = Vec::new();
        macro_rules! ask {
            ($what:expr, $answer:expr) => {{
                let answer = match $answer.await {
                    Ok(answer) => format!("{answer:?}"),
                    Err(error) => format!("refused, {}", error.code()),
                };
                seen.push(($what, answer));
            }};
        }
        ask!("users".to_owned(), market.users(actor, &UserFilter::default(), TimeOrder::Oldest, page));
        ask!("events".to_owned(), market.events(actor, 0, 50));
        ask!("audit".to_owned(), market.audit_log(actor, 0, 50));
        ask!("chain".to_owned(), market.verify_audit(actor));
        ask!("books".to_owned(), market.reconcile(actor));
        ask!("denials".to_owned(), market.denials(actor, &DenialFilter::default(), page));
        ask!("invitations".to_owned(), market.invitations(actor, None, TimeOrder::Newest, page));
        ask!(
            "notices".to_owned(),
            market.notices(
                actor,
                Recipient::Administrators,
                &NoticeFilter::default(),
                TimeOrder::Newest,
                page
            )
        );
        ask!("house".to_owned(), market.balances(actor, Holder::External));
        ask!(
            "all objects".to_owned(),
            market.objects(actor, &ObjectFilter::default(), ObjectOrder::Newest, page)
        );
        for state in [ObjectState::Draft, ObjectState::Submitted, ObjectState::Removed] {
            let filter = ObjectFilter { state: Some(state), ..ObjectFilter::default() };
            ask!(format!("{state:?} objects"), market.objects(actor, &filter, ObjectOrder::Newest, page));
        }
        for user in &self.users {
            ask!(format!("user {user}"), market.user(actor, *user));
            ask!(format!("what {user} did"), market.history(actor, *user, page));
            ask!(format!("hubs of {user}"), market.memberships(actor, *user));
            ask!(
                format!("orders of {user}"),
                market.orders(actor, *user, &OrderFilter::default(), TimeOrder::Newest, page)
            );
            ask!(
                format!("clients of {user}"),
                market.clients(actor, *user, &ClientFilter::default(), TimeOrder::Oldest, page)
            );
            ask!(format!("money of {user}"), market.balances(actor, Holder::Available(*user)));
            let account = Account { holder: Holder::Available(*user), currency: Currency::EUR };
            ask!(
                format!("entries of {user}"),
                market.entries(actor, account, Period::default(), TimeOrder::Newest, page)
            );
            ask!(format!("what {user} did"), market.history(actor, *user, page));
            ask!(
                format!("notices of {user}"),
                market.notices(
                    actor,
                    Recipient::User(*user),
                    &NoticeFilter::default(),
                    TimeOrder::Newest,
                    page
                )
            );
            let mut filter = ObjectFilter { owner: Some(*user), ..ObjectFilter::default() };
            ask!(format!("objects of {user}"), market.objects(actor, &filter, ObjectOrder::Newest, page));
            // One's own hub opens nothing of somebody else's.
            filter.hub = own_hub;
            ask!(
                format!("objects of {user} in one's hub"),
                market.objects(actor, &filter, ObjectOrder::Newest, page)
            );
        }
        for hub in &self.hubs {
            let id = hub.id;
            ask!(format!("members of {id}"), market.members(actor, id, None, page));
            ask!(format!("devices of {id}"), market.devices(actor, id, None, TimeOrder::Oldest, page));
            ask!(format!("products of {id}"), market.products(actor, id, None, TimeOrder::Oldest, page));
            ask!(
                format!("sales of {id}"),
                market.sales(actor, id, &OrderFilter::default(), TimeOrder::Newest, page)
            );
            ask!(format!("money of {id}"), market.balances(actor, Holder::Earned(id)));
            let account = Account { holder: Holder::Earned(id), currency: Currency::EUR };
            ask!(
                format!("entries of {id}"),
                market.entries(actor, account, Period::default(), TimeOrder::Newest, page)
            );
            let owner = match actor {
                Actor::User(user) => Some(user),
                _ => None,
            };
            // Being an owner of something opens nothing of somebody else's hub.
            let filter = ObjectFilter { hub: Some(id), owner, ..ObjectFilter::default() };
            ask!(format!("objects in {id}"), market.objects(actor, &filter, ObjectOrder::Newest, page));
            let filter = ObjectFilter { hub: Some(id), ..ObjectFilter::default() };
            ask!(format!("all objects in {id}"), market.objects(actor, &filter, ObjectOrder::Newest, page));
        }
        for device in &self.devices {
            ask!(format!("device {}", device.id), market.device(actor, device.id));
            ask!(
                format!("why {}", device.id),
                market.explain_publish(actor, device.id, "i3/hub-0/product-0")
            );
        }
        for product in self.products.iter().map(|product| product.id) {
            ask!(format!("product {product}"), market.product(actor, product));
            ask!(
                format!("offers of {product}"),
                market.offers(actor, product, None, TimeOrder::Newest, page)
            );
            ask!(format!("terms of {product}"), market.stream_terms(actor, product));
            ask!(format!("quality of {product}"), market.quality(actor, product));
            ask!(format!("sample of {product}"), market.sample(actor, product));
            ask!(format!("object of {product}"), market.object_of_product(actor, product));
        }
        for order in self.orders.iter().map(|order| order.id) {
            ask!(format!("order {order}"), market.order(actor, order));
            ask!(format!("statement of {order}"), market.statement(actor, order));
            ask!(format!("grant of {order}"), market.grant_of(actor, order));
            ask!(format!("object of {order}"), market.ordered_object(actor, order));
            ask!(format!("access of {order}"), market.explain_receive(actor, order, None));
            ask!(format!("charge of {order}"), market.explain_charge(actor, order, 9));
            ask!(format!("message of {order}"), market.explain_message(actor, order, 1, 9));
        }
        for client in &self.clients {
            ask!(format!("client {}", client.id), market.client(actor, client.id));
        }
        for invitation in &self.invitations {
            ask!(format!("invitation {}", invitation.id), market.invitation(actor, invitation.id));
        }
        for OthersObject { object, files } in &self.objects {
            let id = object.id;
            ask!(format!("object {id}"), market.object(actor, id));
            ask!(format!("history of {id}"), market.object_history(actor, id, page));
            for version in 1..=object.version {
                let which = WhichVersion::Number(version);
                ask!(format!("version {version} of {id}"), market.object_version(actor, id, which));
            }
            for file in files {
                let read = market.read_file(actor, id, None, &file.name);
                ask!(format!("{} of {id}", file.name.as_str()), read);
            }
            let sent = async { market.write_file(actor, id, MediaType::Plain, None).await.map(drop) };
            ask!(format!("an upload to {id}"), sent);
        }
        for thing in &self.things {
            ask!(format!("thing {}", thing.id.as_str()), market.thing(actor, &thing.id));
        }
        seen
    }
}
