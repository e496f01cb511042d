//! How much memory index and graph take, each in a process of its own: what others have given back to an allocator is no
//! measure of what is taken.

use std::process::Command;
use std::sync::Arc;

use i3_semantic::discovery::Live;
use i3_semantic::facets::OntologyClasses;
use i3_semantic::graph::Graph;
use i3_semantic::ontology::Ontology;

use crate::memory::resident;
use crate::shop::ShopError;
use crate::things::thing;

/// What is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    Facets,
    Graph,
}

/// The bytes that a process of its own needs for it.
pub(super) fn weigh(part: Part, objects: u64) -> Result<u64, ShopError> {
    let name = match part {
        Part::Facets => "facets",
        Part::Graph => "graph",
    };
    let child = Command::new(std::env::current_exe()?)
        .args(["--weigh", name, "--objects", &objects.to_string()])
        .output()?;
    if !child.status.success() {
        return Err(
            format!("the {name} could not be weighed: {}", String::from_utf8_lossy(&child.stderr)).into()
        );
    }
    Ok(String::from_utf8(child.stdout)?.trim().parse()?)
}

/// In the child: prints how much more memory this process has with it than without.
pub(super) fn child(part: Part, ontology: &Ontology, objects: u64) -> Result<(), ShopError> {
    let weight =
        || resident(std::process::id()).ok_or("this system does not tell how much memory a process has");
    let classes = Arc::new(OntologyClasses::new(ontology.clone()));
    let before = weight()?;
    let live = Live::new(classes);
    let mut graph = Graph::new(ontology.clone());
    for number in 0..objects {
        let thing = thing(number);
        match part {
            Part::Facets => live.insert(&thing)?,
            Part::Graph => graph.apply(&thing.iri(), &thing.facts())?,
        }
    }
    println!("{}", weight()?.saturating_sub(before));
    drop((live, graph));
    Ok(())
}
