//! The graph in a SPARQL 1.1 store elsewhere, for those who want to ask it there.
//!
//! A [`Remote`] keeps a store like the graph of its [`Projection`]: what everybody may see and what follows from it, and
//! nothing else. Each object has a named graph there too, which is replaced as a whole; what follows about others, which
//! is in the default graph here, is in `urn:i3:shared` there; the ontology is in its own graph. A store that is asked for
//! the union of its named graphs answers as the index does. Graphs with other names are left alone.
//!
//! What is there is said in the graph `urn:i3:projection`, in the same update: a digest of each graph, the position of the
//! outbox up to which everything is there, and a token. Every update names the token that the one before left and does
//! nothing without it, so an update that arrives late or twice changes nothing, and of two who keep one store only one
//! writes. After a crash or an outage the digests say what is missing, and only that is sent.
//!
//! What is not promised: a store elsewhere is behind by as much as [`Remote::catch_up`] is called late, so something
//! withdrawn is found there a while longer than here.

mod endpoint;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use oxigraph::model::{GraphName, NamedNode, Triple};

pub use endpoint::{Endpoint, EndpointError, RemoteError};

use crate::graph::{Graph, Revision, Sum};
use crate::projection::Projection;
use crate::vocabulary::ONTOLOGY;
use write::{Part, SHARED};

/// About how many triples are sent with one update.
const PART: usize = 5_000;

/// See the [module](self).
#[derive(Debug)]
pub struct Remote {
    projection: Arc<Projection>,
    endpoint: Arc<dyn Endpoint>,
    name: String,
    updates: u64,
    known: Option<Known>,
}

/// How the store was left.
#[derive(Debug)]
struct Known {
    token: String,
    position: u64,
    /// Of the graphs that are there.
    sums: HashMap<NamedNode, Sum>,
    /// The graph here that is there too; none if that was not compared in this process.
    revision: Option<Revision>,
}

/// What is to be done.
struct Plan {
    position: u64,
    revision: Revision,
    /// Graphs of objects, and that of the ontology, that may be different.
    graphs: BTreeSet<String>,
    removed: Vec<Triple>,
    added: Vec<Triple>,
    shared: Sum,
}

/// Whether a store holds what the graph does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// How many graphs it holds.
    pub graphs: usize,
    /// The names of graphs that are different, missing, or too many.
    pub different: Vec<NamedNode>,
    /// The position of the outbox up to which the store had followed.
    pub position: u64,
}

impl Compared {
    /// Whether nothing is different.
    pub fn holds(&self) -> bool {
        self.different.is_empty()
    }
}

/// What is in a graph of this name here.
fn held(graph: &Graph, name: &NamedNode) -> Vec<Triple> {
    if *name == ONTOLOGY {
        return graph.stated().iter().cloned().map(Triple::from).collect();
    }
    if *name == SHARED {
        return graph.about_others().collect();
    }
    graph.own(name).collect()
}

impl Remote {
    /// Keeps this store. `follower` is a number that no other process has, nor this one in another life: a random one.
    pub fn new(projection: Arc<Projection>, endpoint: Arc<dyn Endpoint>, follower: u128) -> Self {
        Self { projection, endpoint, name: format!("{follower:032x}"), updates: 0, known: None }
    }

    fn token(&mut self) -> String {
        self.updates = self.updates.saturating_add(1);
        format!("{}-{}", self.name, self.updates)
    }

    /// Whether the store holds what the graph holds now, as far as is known without asking it.
    pub fn is_current(&self) -> bool {
        let position = self.projection.live().position();
        let known = self.known.as_ref();
        known.is_some_and(|known| {
            known.position >= position && known.revision == Some(self.projection.graph().revision())
        })
    }

    /// Makes the store hold what the graph holds, and returns the position of the outbox up to which it does. After an
    /// error nothing is lost: the next call looks what is there and sends what is missing.
    pub async fn catch_up(&mut self) -> Result<u64, RemoteError> {
        let done = self.bring_up().await;
        if done.is_err() {
            // Perhaps it was done, and perhaps it still will be.
            self.known = None;
        }
        done
    }

    /// Throws away what the store holds of ours, and sends everything anew.
    pub async fn rebuild(&mut self) -> Result<u64, RemoteError> {
        self.known = None;
        self.endpoint.update(&write::forget()).await?;
        self.catch_up().await
    }

    async fn bring_up(&mut self) -> Result<u64, RemoteError> {
        let mut known = match self.known.take() {
            Some(known) => known,
            None => self.look().await?,
        };
        let mut plan = if let Some(plan) = self.changes(&known) {
            plan
        } else {
            let (shared, mut there) = ([SHARED.into_owned()], HashSet::new());
            read::contents(&*self.endpoint, &shared, |_, triples| there.extend(triples)).await?;
            self.differences(&known, &there)
        };
        let mut graphs = std::mem::take(&mut plan.graphs).into_iter().peekable();
        while graphs.peek().is_some() {
            let mut part = Part::after(&known.token);
            let mut sums = Vec::new();
            {
                let graph = self.projection.graph();
                while part.size < PART
                    && let Some(name) = graphs.next()
                {
                    // A name that was a graph's.
                    let Ok(name) = NamedNode::new(name) else { continue };
                    let triples = held(&graph, &name);
                    let sum = read::sum(name.as_ref(), triples.iter().cloned());
                    let sum = (!triples.is_empty()).then_some(sum);
                    if known.sums.get(&name) != sum.as_ref() {
                        part.put(name.as_ref(), &triples, sum);
                        sums.push((name, sum));
                    }
                }
            }
            self.send(&mut known, part).await?;
            for (name, sum) in sums {
                match sum {
                    Some(sum) => drop(known.sums.insert(name, sum)),
                    None => drop(known.sums.remove(&name)),
                }
            }
        }
        self.share(&mut known, &plan).await?;
        if known.position != plan.position || known.revision.is_none() {
            let mut part = Part::after(&known.token);
            part.position(plan.position);
            self.send(&mut known, part).await?;
            known.position = plan.position;
        }
        known.revision = Some(plan.revision);
        self.known = Some(known);
        Ok(plan.position)
    }

    /// How the store was left. One that nobody keeps is begun anew.
    async fn look(&mut self) -> Result<Known, RemoteError> {
        let mut state = read::state(&*self.endpoint).await?;
        if state.token.is_none() {
            let graphs = read::graphs(&*self.endpoint).await?;
            let token = self.token();
            self.endpoint.update(&write::begin(&graphs, &token)).await?;
            state = read::state(&*self.endpoint).await?;
        }
        let token = state.token.ok_or_else(|| RemoteError::Answer("it keeps nothing".to_owned()))?;
        Ok(Known { token, position: state.position, sums: state.sums, revision: None })
    }

    /// What changed here since the store was left; nothing if that is not known.
    fn changes(&self, known: &Known) -> Option<Plan> {
        // Before the graph is looked at: what was followed up to here is in it.
        let position = self.projection.live().position();
        let graph = self.projection.graph();
        let changes = graph.since(known.revision?)?;
        let (mut removed, mut added, mut graphs) = (HashSet::new(), HashSet::new(), BTreeSet::new());
        for change in changes {
            move_quads(&change.removed, &mut removed, &mut added, &mut graphs);
            move_quads(&change.added, &mut added, &mut removed, &mut graphs);
        }
        let mut shared = known.sums.get(&SHARED.into_owned()).copied().unwrap_or_default();
        for triple in &removed {
            shared.take(&read::shared(triple.clone()));
        }
        for triple in &added {
            shared.add(&read::shared(triple.clone()));
        }
        let (removed, added) = (removed.into_iter().collect(), added.into_iter().collect());
        Some(Plan { position, revision: graph.revision(), graphs, removed, added, shared })
    }

    /// What may be different in a store of which only the digests are known, and what follows about others there.
    fn differences(&self, known: &Known, there: &HashSet<Triple>) -> Plan {
        let position = self.projection.live().position();
        let graph = self.projection.graph();
        let here: HashSet<Triple> = graph.about_others().collect();
        let names = graph.objects().chain(known.sums.keys()).filter(|name| **name != SHARED);
        let mut graphs: BTreeSet<String> = names.map(|name| name.as_str().to_owned()).collect();
        graphs.insert(ONTOLOGY.as_str().to_owned());
        Plan {
            position,
            revision: graph.revision(),
            graphs,
            removed: there.difference(&here).cloned().collect(),
            added: here.difference(there).cloned().collect(),
            shared: read::sum(SHARED, here),
        }
    }

    /// Changes what follows about others. Its digest is not known between the first part and the last.
    async fn share(&mut self, known: &mut Known, plan: &Plan) -> Result<(), RemoteError> {
        let name = SHARED.into_owned();
        let digest = (!plan.shared.eq(&Sum::default())).then_some(plan.shared);
        if plan.removed.is_empty() && plan.added.is_empty() && known.sums.get(&name) == digest.as_ref() {
            return Ok(());
        }
        for (triples, is_added) in [(&plan.removed, false), (&plan.added, true)] {
            for some in triples.chunks(PART) {
                let mut part = Part::after(&known.token);
                let (removed, added) = if is_added { (&[][..], some) } else { (some, &[][..]) };
                part.digest(SHARED, None);
                part.change(removed, added);
                self.send(known, part).await?;
            }
        }
        let mut part = Part::after(&known.token);
        part.digest(SHARED, digest);
        self.send(known, part).await?;
        match digest {
            Some(digest) => drop(known.sums.insert(name, digest)),
            None => drop(known.sums.remove(&name)),
        }
        Ok(())
    }

    async fn send(&mut self, known: &mut Known, part: Part) -> Result<(), RemoteError> {
        if part.is_empty() {
            return Ok(());
        }
        let token = self.token();
        self.endpoint.update(&part.request(&token)).await?;
        if !read::is_left_with(&*self.endpoint, &token).await? {
            return Err(RemoteError::Overtaken);
        }
        known.token = token;
        Ok(())
    }

    /// Brings the store up to date, then reads everything that it holds of ours and compares. Numbers and times are
    /// compared by value: stores write them their own way.
    pub async fn verify(&mut self) -> Result<Compared, RemoteError> {
        let position = self.catch_up().await?;
        let there: BTreeSet<String> =
            read::graphs(&*self.endpoint).await?.into_iter().map(NamedNode::into_string).collect();
        let graphs = there.len();
        let names: BTreeSet<String> = {
            let graph = self.projection.graph();
            let here = graph.objects().map(|name| name.as_str().to_owned());
            let always = [SHARED, ONTOLOGY].map(|name| name.as_str().to_owned());
            there.into_iter().chain(here).chain(always).collect()
        };
        let names: Vec<NamedNode> = names.into_iter().filter_map(|name| NamedNode::new(name).ok()).collect();
        let mut different = Vec::new();
        read::contents(&*self.endpoint, &names, |name, triples| {
            let here = held(&self.projection.graph(), &name);
            let same = here.len() == triples.len()
                && read::canonical_sum(name.as_ref(), here) == read::canonical_sum(name.as_ref(), triples);
            if !same {
                different.push(name);
            }
        })
        .await?;
        Ok(Compared { graphs, different, position })
    }
}

/// Of quads that came or went: triples of the default graph go from one set to the other, names of graphs are noted.
fn move_quads(
    quads: &[oxigraph::model::Quad],
    to: &mut HashSet<Triple>,
    from: &mut HashSet<Triple>,
    graphs: &mut BTreeSet<String>,
) {
    for quad in quads {
        if let GraphName::NamedNode(name) = &quad.graph_name {
            graphs.insert(name.as_str().to_owned());
            continue;
        }
        let triple = Triple::from(quad.clone());
        if !from.remove(&triple) {
            to.insert(triple);
        }
    }
}
