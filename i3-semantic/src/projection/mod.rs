//! The index follows the marketplace.
//!
//! A [`Projection`] reads everything public at its start, then what the outbox names, and puts descriptions in and takes
//! them out. It keeps nothing of its own: the index is in memory with the position that it has followed to, and after a
//! crash at whatever point it is what the store says. [`Projection::verify`] proves that it is.
//!
//! A command of this process that changes what is public returns once the index has followed it, so what is withdrawn is
//! found by nobody any more when the command returns, and whoever changed something finds it changed. What other
//! processes over the same store commit is followed by [`Projection::catch_up`], which is to be called often, and by a
//! question that names a [position](crate::discovery::Discovery::discover).

mod describe;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use async_trait::async_trait;
use i3_core::access::Actor;
use i3_core::hub::Hub;
use i3_core::id::{HubId, ProductId, VirtualObjectId};
use i3_core::market::{CatalogueFilter, MarketError, Marketplace, PageRequest, Paged, TimeOrder};
use i3_core::outbox::{Event, EventListener};
use i3_core::product::Product;
use i3_core::store::limits;
use oxigraph::model::NamedNode;
use tokio::sync::Mutex;

pub use describe::{Beside, of_object, of_product, quality_of};

use crate::description::{Description, thing_iri};
use crate::discovery::{Answer, Discovery, DiscoveryError, Live, Query};
use crate::facets::OntologyClasses;
use crate::graph::{Graph, GraphRefused};
use crate::ontology::{InForce, NotInForce, Ontology, OntologyVersion, Stored};

/// See the [module](self).
#[derive(Debug)]
pub struct Projection {
    market: Marketplace,
    live: Live,
    graph: RwLock<Graph>,
    /// The products that say what an object says.
    links: std::sync::Mutex<Links>,
    /// Who holds it reads and writes alone, so that nothing older is written over something newer.
    following: Mutex<()>,
    /// The ontology that administrators extend.
    stored: Stored,
    /// What they stored last and is not in force.
    refused: std::sync::Mutex<Option<NotInForce>>,
    /// Who holds it goes over to another ontology alone.
    adopting: Mutex<()>,
    /// Changes of the ontology that were seen in the outbox, and how many of them had been when what is in force was read.
    changes: AtomicU64,
    adopted: AtomicU64,
}

type Links = HashMap<VirtualObjectId, Option<ProductId>>;

/// Digests of an index and of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// The ontology by which everything was derived.
    pub ontology: OntologyVersion,
    /// Of the facet index.
    pub index: [u8; 32],
    /// Of the graph.
    pub graph: String,
}

/// Whether index and graph are what the store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Of what answers questions.
    pub held: Digests,
    /// Of what was built from the store to compare with.
    pub stored: Digests,
    /// The position of the outbox at which they were taken.
    pub position: u64,
}

impl Verified {
    /// Whether they are equal.
    pub fn holds(&self) -> bool {
        self.held == self.stored
    }
}

/// Why everything could not be read into an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// The marketplace cannot be read.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// The graph cannot be built.
    #[error(transparent)]
    Graph(#[from] GraphRefused),
}

/// What was read from the store, beside what answers.
struct Built {
    live: Live,
    graph: Graph,
    links: Links,
}

/// Puts a thing into both or, if it is impossible under the ontology, takes it out of both.
fn put(live: &Live, graph: &mut Graph, description: &Description) {
    let thing = description.iri();
    if graph.apply(&thing, &description.facts()).is_ok() {
        // Both have the same ontology, so what was inferred for the one holds for the other.
        live.insert_as(description, graph.types(&thing).map(NamedNode::as_str));
    } else {
        // What an object said can always be taken out.
        let _ = graph.remove(&thing);
        live.remove(&description.id);
    }
}

/// What must be described anew.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    Object(VirtualObjectId),
    Product(ProductId),
    Hub(HubId),
}

impl Touched {
    fn by(event: &Event) -> Option<Self> {
        match event {
            Event::VirtualObjectChanged { object, .. } => Some(Self::Object(*object)),
            Event::ProductChanged { product, .. }
            | Event::OfferChanged { product, .. }
            | Event::Rated { product, .. } => Some(Self::Product(*product)),
            Event::HubChanged { hub } => Some(Self::Hub(*hub)),
            _ => None,
        }
    }
}

/// Nothing where the domain says no: what cannot be seen is not described.
fn seen<T>(result: Result<T, MarketError>) -> Result<Option<T>, MarketError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(MarketError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn whole_page() -> PageRequest {
    PageRequest { after: None, limit: limits::PAGE_ROWS }
}

impl Projection {
    /// Reads everything public into an index and a graph and follows the marketplace from then on, for as long as
    /// somebody holds it. The ontology is `base` with what administrators added to it.
    pub async fn open(market: Marketplace, base: Ontology) -> Result<Arc<Self>, ProjectionError> {
        let live = Live::new(Arc::new(OntologyClasses::new(base.clone())));
        let graph = RwLock::new(Graph::new(base.clone()));
        let projection = Arc::new(Self {
            market,
            live,
            graph,
            links: std::sync::Mutex::default(),
            following: Mutex::new(()),
            stored: Stored::over(base),
            refused: std::sync::Mutex::default(),
            adopting: Mutex::new(()),
            changes: AtomicU64::new(1),
            adopted: AtomicU64::new(0),
        });
        projection.market.listen_to_events(Arc::new(Follower(Arc::downgrade(&projection))));
        projection.adopt().await?;
        Ok(projection)
    }

    /// Goes over to the ontology that is stored, unless it is the one in force: everything is read and derived anew
    /// beside what answers and follows meanwhile, and takes its place. After an error the next call tries again.
    async fn adopt(&self) -> Result<(), ProjectionError> {
        let _one = self.adopting.lock().await;
        while self.is_to_adopt() {
            let changes = self.changes.load(Ordering::Acquire);
            let (built, refused) = self.built().await?;
            let _alone = self.following.lock().await;
            *self.graph.write().unwrap_or_else(PoisonError::into_inner) = built.graph;
            self.live.replace(built.live);
            *self.links() = built.links;
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
            self.adopted.store(changes, Ordering::Release);
            // What happened while everything was read.
            self.follow(u64::MAX).await?;
        }
        Ok(())
    }

    /// Whether the ontology in force is not the stored one, as far as was followed: another one is being gone over to, or
    /// could not be read and [`catch_up`](Self::catch_up) tries again.
    pub fn is_to_adopt(&self) -> bool {
        self.adopted.load(Ordering::Acquire) < self.changes.load(Ordering::Acquire)
    }

    /// What was stored last for the ontology and is not in force.
    pub fn refused(&self) -> Option<NotInForce> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An index and a graph of what the store holds, by the ontology that it holds.
    async fn built(&self) -> Result<(Built, Option<NotInForce>), ProjectionError> {
        // What is committed while everything is read is after this position, and read again: the ontology too.
        let position = self.market.outbox_position().await?;
        let InForce { ontology, refused } = self.stored.in_force(&self.market).await?;
        let live = Live::new(Arc::new(OntologyClasses::new(ontology.clone())));
        let mut built = Built { live, graph: Graph::new(ontology), links: Links::new() };
        let Built { live, graph, links } = &mut built;
        self.each(links, |description| put(live, graph, &description)).await?;
        live.followed(position);
        Ok((built, refused))
    }

    /// The index.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The graph, with the same things in it as the index. Who holds it keeps the index from following.
    pub fn graph(&self) -> RwLockReadGuard<'_, Graph> {
        self.graph.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows every description that the store has.
    async fn each(&self, links: &mut Links, mut show: impl FnMut(Description)) -> Result<(), MarketError> {
        let mut page = whole_page();
        loop {
            let Paged { items, next } = self.market.public_objects(&page).await?;
            for view in items {
                links.insert(view.object.id, view.object.product);
                show(of_object(&view));
            }
            match next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let mut page = whole_page();
        loop {
            let Paged { items, next } =
                self.market.catalogue(&CatalogueFilter::default(), TimeOrder::Newest, &page).await?;
            for card in items {
                if let Some(description) = self.product(&card.product).await? {
                    show(description);
                }
            }
            match next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// The description of a product as it is now; none if it is not public.
    async fn product(&self, product: &Product) -> Result<Option<Description>, MarketError> {
        let Some(hub): Option<Hub> = seen(self.market.hub(product.hub).await)? else { return Ok(None) };
        let mut offers = Vec::new();
        let mut page = whole_page();
        loop {
            let found = self.market.offers(Actor::System, product.id, None, TimeOrder::Newest, &page).await?;
            offers.extend(found.items);
            match found.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let object = match seen(self.market.object_of_product(Actor::System, product.id).await)? {
            Some(link) => self.market.public_object(link.object.id).await?,
            None => None,
        };
        let quality = seen(self.market.quality(Actor::System, product.id).await)?;
        let score = self.market.score(product.id).await?;
        let (quality, object) = (quality.as_ref(), object.as_ref());
        Ok(of_product(product, &Beside { hub: &hub, score, offers: &offers, quality, object }))
    }

    async fn refresh(&self, touched: &Touched) -> Result<(), MarketError> {
        match touched {
            Touched::Object(object) => {
                let view = self.market.public_object(*object).await?;
                let product = view.as_ref().and_then(|view| view.object.product);
                match &view {
                    Some(view) => self.put(&of_object(view)),
                    None => self.take_out(&object.to_string()),
                }
                // A product says what its object says: also the one that it was of until now.
                let before = self.links().insert(*object, product).flatten();
                let products: BTreeSet<ProductId> = before.into_iter().chain(product).collect();
                for product in products {
                    self.refresh_product(product).await?;
                }
            }
            Touched::Product(product) => self.refresh_product(*product).await?,
            Touched::Hub(hub) => {
                let mut page = whole_page();
                loop {
                    let found =
                        self.market.products(Actor::System, *hub, None, TimeOrder::Oldest, &page).await?;
                    for product in found.items {
                        self.refresh_product(product.id).await?;
                    }
                    match found.next {
                        Some(next) => page.after = Some(next),
                        None => break,
                    }
                }
            }
        }
        Ok(())
    }

    async fn refresh_product(&self, id: ProductId) -> Result<(), MarketError> {
        let product = seen(self.market.product(Actor::System, id).await)?;
        let description = match product {
            Some(product) => self.product(&product).await?,
            None => None,
        };
        match description {
            Some(description) => self.put(&description),
            None => self.take_out(&id.to_string()),
        }
        Ok(())
    }

    fn put(&self, description: &Description) {
        let mut graph = self.graph.write().unwrap_or_else(PoisonError::into_inner);
        put(&self.live, &mut graph, description);
    }

    fn take_out(&self, id: &str) {
        self.live.remove(id);
        let mut graph = self.graph.write().unwrap_or_else(PoisonError::into_inner);
        // What an object said can always be taken out.
        let _ = graph.remove(&thing_iri(id));
    }

    /// Follows the outbox to its end, and returns the position that the index has followed to. After an error nothing is
    /// lost: the next call goes on from the same place.
    pub async fn catch_up(&self) -> Result<u64, ProjectionError> {
        self.keep_up(u64::MAX).await
    }

    /// Follows the outbox up to a position, or to its end, and goes over to the ontology that is stored there.
    async fn keep_up(&self, wanted: u64) -> Result<u64, ProjectionError> {
        let position = {
            let _alone = self.following.lock().await;
            self.follow(wanted).await?
        };
        self.adopt().await?;
        Ok(position)
    }

    /// Follows the outbox up to a position, or to its end. By who holds the lock.
    async fn follow(&self, wanted: u64) -> Result<u64, MarketError> {
        loop {
            let position = self.live.position();
            if position >= wanted {
                return Ok(position);
            }
            let events = self.market.events(Actor::System, position, limits::PAGE_ROWS).await?;
            let Some(last) = events.last().map(|event| event.position) else { return Ok(position) };
            let touched: BTreeSet<Touched> =
                events.iter().filter_map(|event| Touched::by(&event.entry.event)).collect();
            for touched in &touched {
                self.refresh(touched).await?;
            }
            // Before the position: who sees that one waits for the ontology too. Looked at again after an error, the same
            // change may count twice.
            if events.iter().any(|event| matches!(event.entry.event, Event::OntologyChanged { .. })) {
                self.changes.fetch_add(1, Ordering::AcqRel);
            }
            self.live.followed(last);
        }
    }

    /// Describes every product anew: what was measured of streams changes without an event. To be called now and then.
    pub async fn measure(&self) -> Result<(), MarketError> {
        for id in self.live.ids() {
            if let Ok(product) = id.parse::<ProductId>() {
                let _alone = self.following.lock().await;
                self.refresh_product(product).await?;
            }
        }
        Ok(())
    }

    /// Compares the index with the store, from which everything is read. Commands of this process wait meanwhile; what
    /// other processes commit while it is read shows as a difference.
    pub async fn verify(&self) -> Result<Verified, ProjectionError> {
        self.keep_up(u64::MAX).await?;
        let _alone = self.following.lock().await;
        let position = self.follow(u64::MAX).await?;
        let (Built { live, graph, .. }, _) = self.built().await?;
        let of = |live: &Live, graph: &Graph| Digests {
            ontology: graph.ontology().version().clone(),
            index: live.digest(),
            graph: graph.digest(),
        };
        Ok(Verified { held: of(&self.live, &self.graph()), stored: of(&live, &graph), position })
    }
}

/// What the marketplace tells. It does not keep the projection, which keeps the marketplace.
#[derive(Debug)]
struct Follower(Weak<Projection>);

#[async_trait]
impl EventListener for Follower {
    async fn happened(&self, last: u64, events: &[Event]) {
        let ontology = events.iter().any(|event| matches!(event, Event::OntologyChanged { .. }));
        if (ontology || events.iter().any(|event| Touched::by(event).is_some()))
            && let Some(projection) = self.0.upgrade()
        {
            // The command is committed and cannot be told. The index goes on from the same place with the next event or
            // question, and documents are read from the store, which has nothing that was withdrawn.
            if ontology {
                let _ = projection.keep_up(last).await;
            } else {
                // Without waiting for another ontology that is being gone over to.
                let _alone = projection.following.lock().await;
                let _ = projection.follow(last).await;
            }
        }
    }
}

#[async_trait]
impl Discovery for Projection {
    async fn discover(&self, query: &Query, seen: Option<u64>) -> Result<Answer, DiscoveryError> {
        let behind = |seen| self.live.position() < seen || self.is_to_adopt();
        if let Some(seen) = seen
            && behind(seen)
        {
            let position =
                self.keep_up(seen).await.map_err(|error| DiscoveryError::Behind(Box::new(error)))?;
            if position < seen {
                return Err(DiscoveryError::Behind("nothing was committed at this position yet".into()));
            }
        }
        Ok(self.live.find(query)?)
    }
}
