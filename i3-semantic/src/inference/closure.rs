//! Everything that follows from an ontology alone.

use crate::hashing::Map;
use crate::ontology::{Axiom, OntologyRefused};
use oxigraph::model::NamedNode;
use std::collections::{BTreeMap, BTreeSet};

/// Most pairs "is below" that an ontology may have, of classes and properties together.
pub const MAX_RELATIONS: usize = 1_000_000;

/// Whether an implied fact runs the same way or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// `s p o` implies `s q o`.
    Same,
    /// `s p o` implies `o q s`.
    Turned,
}

impl Direction {
    fn then(self, next: Self) -> Self {
        if self == next { Self::Same } else { Self::Turned }
    }
}

/// What a fact with a certain property implies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertyClosure {
    /// Other properties that then hold too; the property itself is among them where it follows turned round.
    pub implied: Vec<(NamedNode, Direction)>,
    /// Classes of the subject, from domains and ranges, closed upward.
    pub subject_types: Vec<NamedNode>,
    /// Classes of the object, if it is not a literal; closed upward.
    pub object_types: Vec<NamedNode>,
    /// Transitive properties that hold then, each with the direction: the fact is an edge of theirs.
    pub edges: Vec<(NamedNode, Direction)>,
}

/// What follows from an ontology: classes and properties closed upward.
///
/// Equivalences are circles of "is below"; inverse and symmetric properties are properties turned round. So one search
/// for everything that can be reached settles all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    above: Map<NamedNode, Vec<NamedNode>>,
    below: Map<NamedNode, Vec<NamedNode>>,
    properties: Map<NamedNode, PropertyClosure>,
    disjoint: Map<NamedNode, BTreeSet<NamedNode>>,
}

type Turnable = (NamedNode, Direction);

impl Closure {
    /// Computes it.
    ///
    /// # Errors
    ///
    /// [`OntologyRefused::TooLarge`], or which class, property or individual cannot be.
    pub fn of(axioms: &BTreeSet<Axiom>) -> Result<Self, OntologyRefused> {
        let (mut classes, mut properties): (Edges<NamedNode>, Edges<Turnable>) =
            (Edges::default(), Edges::default());
        let mut declared = BTreeSet::new();
        let mut transitive = BTreeSet::new();
        let mut domains: BTreeMap<&NamedNode, Vec<&NamedNode>> = BTreeMap::new();
        let mut ranges: BTreeMap<&NamedNode, Vec<&NamedNode>> = BTreeMap::new();
        let mut disjoint: Map<NamedNode, BTreeSet<NamedNode>> = Map::default();
        for axiom in axioms {
            match axiom {
                Axiom::Declaration { term, kind } => {
                    declared.insert((term, *kind));
                }
                Axiom::SubClass { sub, sup } => classes.put(sub.clone(), sup.clone()),
                Axiom::EquivalentClasses(a, b) => {
                    classes.put(a.clone(), b.clone());
                    classes.put(b.clone(), a.clone());
                }
                Axiom::DisjointClasses(a, b) => {
                    disjoint.entry(a.clone()).or_default().insert(b.clone());
                    disjoint.entry(b.clone()).or_default().insert(a.clone());
                }
                Axiom::SubProperty { sub, sup } => {
                    properties.put(sub.clone(), (sup.clone(), Direction::Same));
                }
                Axiom::EquivalentProperties(a, b) => {
                    properties.put(a.clone(), (b.clone(), Direction::Same));
                    properties.put(b.clone(), (a.clone(), Direction::Same));
                }
                Axiom::Inverse(a, b) => {
                    properties.put(a.clone(), (b.clone(), Direction::Turned));
                    properties.put(b.clone(), (a.clone(), Direction::Turned));
                }
                Axiom::Symmetric(p) => {
                    properties.put(p.clone(), (p.clone(), Direction::Turned));
                }
                Axiom::Transitive(p) => {
                    transitive.insert(p);
                }
                Axiom::Domain { property, class } => domains.entry(property).or_default().push(class),
                Axiom::Range { property, class } => ranges.entry(property).or_default().push(class),
                Axiom::DataRange { .. } | Axiom::Individual { .. } | Axiom::Annotation { .. } => {}
            }
        }
        let mut left = MAX_RELATIONS;
        let mut closure = Self { disjoint, ..Self::default() };
        for (class, _) in declared.iter().filter(|(_, kind)| kind.is_class()) {
            let above = above(&classes, class, &mut left)?;
            for wider in &above {
                closure.below.entry(wider.clone()).or_default().push((*class).clone());
            }
            closure.above.insert((*class).clone(), above);
        }
        for (property, _) in declared.iter().filter(|(_, kind)| kind.is_property()) {
            let implied = implied(&properties, property, &mut left)?;
            let found = closure.property_closure(property, implied, &transitive, &domains, &ranges);
            closure.properties.insert((*property).clone(), found);
        }
        // Disjoint classes make those below them disjoint; what a member is, is looked up upward.
        closure.check(axioms)?;
        Ok(closure)
    }

    fn property_closure(
        &self,
        property: &NamedNode,
        implied: Vec<Turnable>,
        transitive: &BTreeSet<&NamedNode>,
        domains: &BTreeMap<&NamedNode, Vec<&NamedNode>>,
        ranges: &BTreeMap<&NamedNode, Vec<&NamedNode>>,
    ) -> PropertyClosure {
        let (mut subject_types, mut object_types) = (BTreeSet::new(), BTreeSet::new());
        for (wider, direction) in &implied {
            let (of_subject, of_object) = match direction {
                Direction::Same => (domains, ranges),
                Direction::Turned => (ranges, domains),
            };
            for class in of_subject.get(wider).into_iter().flatten() {
                subject_types.extend(self.supers(class).iter().cloned());
            }
            for class in of_object.get(wider).into_iter().flatten() {
                object_types.extend(self.supers(class).iter().cloned());
            }
        }
        let edges = implied.iter().filter(|(wider, _)| transitive.contains(wider)).cloned().collect();
        let itself = (property.clone(), Direction::Same);
        PropertyClosure {
            implied: implied.into_iter().filter(|found| *found != itself).collect(),
            subject_types: subject_types.into_iter().collect(),
            object_types: object_types.into_iter().collect(),
            edges,
        }
    }

    /// Every class that a member of `class` is a member of: `class` itself, its equivalents and all above, in order.
    pub fn supers(&self, class: &NamedNode) -> &[NamedNode] {
        self.above.get(class).map_or(&[], Vec::as_slice)
    }

    /// Every class whose members are members of `class`: `class` itself, its equivalents and all below, in order.
    pub fn subs(&self, class: &NamedNode) -> &[NamedNode] {
        self.below.get(class).map_or(&[], Vec::as_slice)
    }

    /// What a fact with this property implies; `None` for one that the ontology does not have.
    pub fn property(&self, property: &NamedNode) -> Option<&PropertyClosure> {
        self.properties.get(property)
    }

    /// All classes.
    pub fn classes(&self) -> impl Iterator<Item = &NamedNode> {
        self.above.keys()
    }

    /// Two of `types` that nothing can be at once. `types` must be closed upward.
    pub fn clash<'a>(&self, types: &BTreeSet<&'a NamedNode>) -> Option<(&'a NamedNode, &'a NamedNode)> {
        types.iter().find_map(|one| {
            let others = self.disjoint.get(*one)?;
            types.iter().find(|other| others.contains(**other)).map(|other| (*one, *other))
        })
    }

    fn check(&self, axioms: &BTreeSet<Axiom>) -> Result<(), OntologyRefused> {
        let ordered: BTreeMap<_, _> = self.above.iter().collect();
        for (class, above) in ordered {
            if let Some((one, other)) = self.clash(&above.iter().collect()) {
                return Err(OntologyRefused::EmptyClass {
                    class: class.clone(),
                    one: one.clone(),
                    other: other.clone(),
                });
            }
        }
        let ordered: BTreeMap<_, _> = self.properties.iter().collect();
        for (property, found) in ordered {
            for (end, types) in [("subject", &found.subject_types), ("object", &found.object_types)] {
                if let Some((one, other)) = self.clash(&types.iter().collect()) {
                    return Err(OntologyRefused::EmptyProperty {
                        property: property.clone(),
                        end,
                        one: one.clone(),
                        other: other.clone(),
                    });
                }
            }
        }
        let mut individuals: BTreeMap<&NamedNode, BTreeSet<&NamedNode>> = BTreeMap::new();
        for axiom in axioms {
            if let Axiom::Individual { individual, class } = axiom {
                individuals.entry(individual).or_default().extend(self.supers(class));
            }
        }
        for (individual, types) in individuals {
            if let Some((one, other)) = self.clash(&types) {
                return Err(OntologyRefused::ImpossibleIndividual {
                    individual: individual.clone(),
                    one: one.clone(),
                    other: other.clone(),
                });
            }
        }
        Ok(())
    }
}

/// "Is below", as stated.
#[derive(Debug)]
struct Edges<T>(BTreeMap<NamedNode, Vec<T>>);

impl<T> Default for Edges<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Edges<T> {
    fn put(&mut self, from: NamedNode, to: T) {
        self.0.entry(from).or_default().push(to);
    }

    fn from(&self, name: &NamedNode) -> &[T] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Every class above `class`, and itself.
fn above(
    classes: &Edges<NamedNode>,
    class: &NamedNode,
    left: &mut usize,
) -> Result<Vec<NamedNode>, OntologyRefused> {
    reach(class.clone(), left, |at| classes.from(at).to_vec())
}

/// What a fact with `property` implies. If `p` is below `q`, then `p` turned round is below `q` turned round.
fn implied(
    properties: &Edges<Turnable>,
    property: &NamedNode,
    left: &mut usize,
) -> Result<Vec<Turnable>, OntologyRefused> {
    reach((property.clone(), Direction::Same), left, |(at, turned)| {
        let wider = properties.from(at).iter();
        wider.map(|(to, direction)| (to.clone(), turned.then(*direction))).collect()
    })
}

/// `from` and everything that can be reached from it, in order.
fn reach<T: Clone + Ord>(
    from: T,
    left: &mut usize,
    next: impl Fn(&T) -> Vec<T>,
) -> Result<Vec<T>, OntologyRefused> {
    let mut found = BTreeSet::from([from.clone()]);
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        *left = left
            .checked_sub(1)
            .ok_or(OntologyRefused::TooLarge { what: "implied relations", limit: MAX_RELATIONS })?;
        for to in next(&at) {
            if found.insert(to.clone()) {
                open.push(to);
            }
        }
    }
    Ok(found.into_iter().collect())
}
