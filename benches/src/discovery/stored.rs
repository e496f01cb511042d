//! The index made anew from a store, through the marketplace, as a server does at its start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use i3_auth::RolePolicy;
use i3_core::access::Actor;
use i3_core::market::{ChangeOntology, CreateObject, Marketplace};
use i3_core::store::{DynStore, MemoryStore};
use i3_semantic::discovery::Query;
use i3_semantic::ontology::Ontology;
use i3_semantic::projection::Projection;

use super::Rebuilt;
use super::clock::{Times, processor};
use crate::shop::{ShopError, user};
use crate::things::content;
use i3_core::role::RoleName;

/// A marketplace with so many published objects, on one thread, so that its time is all that something takes.
async fn filled(objects: u64) -> Result<Marketplace, ShopError> {
    let store: DynStore = Arc::new(MemoryStore::new());
    let market = Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await?;
    let seller = Actor::User(user(&market, "seller", RoleName::PROVIDER).await?);
    for number in 0..objects {
        let content = content(number).ok_or("an object of the bench is refused")?;
        let create = CreateObject { content, hub: None, submit: true };
        market.execute(seller, None, &create).await?;
    }
    Ok(market)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Publishes so many objects and then reads them into an index and a graph.
pub(super) fn rebuilt(objects: u64) -> Result<Rebuilt, ShopError> {
    runtime()?.block_on(async {
        let market = filled(objects).await?;
        let before = processor();
        let projection = Projection::open(market, Ontology::core()).await?;
        let time = processor().saturating_sub(before);
        let found = u64::try_from(projection.live().size().things)?;
        if found != objects {
            return Err(format!("{found} of {objects} objects are in the index").into());
        }
        Ok(Rebuilt { objects, time })
    })
}

/// What an administrator adds.
const EXTENSION: &str = "@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix i3: <urn:i3:ns:> .
    @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
    <urn:x:Fan> a owl:Class ; rdfs:subClassOf i3:Actuator .";

/// An extension of the ontology that came into force among so many objects, while another thread asked.
pub(super) struct Adopted {
    /// Processor time of the command, which returns when the extension is in force.
    pub(super) time: Duration,
    /// The same by the clock.
    pub(super) wall: Duration,
    /// By the clock, what each answer took meanwhile.
    pub(super) meanwhile: Times,
    pub(super) answers: usize,
}

/// Asks the same again and again until it is over, and says what each answer took by the clock.
fn asking(projection: &Projection, question: &Query, over: &AtomicBool) -> Result<Vec<Duration>, String> {
    let mut times = Vec::new();
    while !over.load(Ordering::Acquire) {
        let asked = Instant::now();
        let answer = projection.live().find(question).map_err(|error| error.to_string())?;
        times.push(asked.elapsed());
        if answer.hits.is_empty() {
            return Err("an answer without what is there".to_owned());
        }
    }
    Ok(times)
}

/// Adds a class to the ontology over so many objects, while another thread asks for what is there.
pub(super) fn adopted(objects: u64) -> Result<Adopted, ShopError> {
    runtime()?.block_on(async {
        let market = filled(objects).await?;
        let projection = Projection::open(market.clone(), Ontology::core()).await?;
        let question = Query::parse("kind=Actuator&protocol=coap")?;
        let over = Arc::new(AtomicBool::new(false));
        let other = {
            let (projection, over) = (projection.clone(), over.clone());
            std::thread::spawn(move || asking(&projection, &question, &over))
        };
        let remark = i3_core::name::Prose::default();
        let change = ChangeOntology { turtle: Some(EXTENSION.to_owned()), remark, expect: None };
        let (clock, before) = (Instant::now(), processor());
        let executed = market.execute(Actor::System, None, &change).await;
        let (time, wall) = (processor().saturating_sub(before), clock.elapsed());
        over.store(true, Ordering::Release);
        let meanwhile = other.join().map_err(|_| "the thread that asked ended")??;
        executed?;
        if projection.is_to_adopt() || projection.live().find(&Query::parse("kind=Fan")?).is_err() {
            return Err("the extension is not in force".into());
        }
        let answers = meanwhile.len();
        Ok(Adopted { time, wall, meanwhile: Times::new(meanwhile), answers })
    })
}
