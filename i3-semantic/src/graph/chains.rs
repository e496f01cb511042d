//! Transitive properties: what is reached over chains of facts, across objects.
//!
//! The edges are kept in memory by property. When edges change, only the starts that could reach over a changed edge
//! are looked at again: what they reached before is taken back and what they reach now is put in.

use crate::hashing::{Map, Set};
use std::hash::Hash;

/// An edge: property, from, to.
pub(super) type Edge<N> = (N, N, N);

/// Most pairs that one change may add or look at again; a chain of `n` things has `n²/2`.
pub const MAX_REACHED: usize = 100_000;

/// The chains through one change would be too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The edges of transitive properties, each counted by how many objects say it.
#[derive(Debug)]
pub(super) struct Chains<N>(Map<N, Net<N>>);

/// Who reaches whom over more than one edge, before and after a change. What is an edge itself, somebody says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reached<N: Eq + Hash> {
    /// Pairs that held before and no longer do.
    pub(super) lost: Set<Edge<N>>,
    /// Pairs that hold now and did not.
    pub(super) won: Set<Edge<N>>,
}

#[derive(Debug)]
struct Net<N> {
    forward: Map<N, Map<N, u32>>,
    backward: Map<N, Set<N>>,
}

impl<N> Default for Net<N> {
    fn default() -> Self {
        Self { forward: Map::default(), backward: Map::default() }
    }
}

impl<N> Default for Chains<N> {
    fn default() -> Self {
        Self(Map::default())
    }
}

impl<N: Eq + Hash> Default for Reached<N> {
    fn default() -> Self {
        Self { lost: Set::default(), won: Set::default() }
    }
}

impl<N: Clone + Eq + Hash> Chains<N> {
    /// Takes edges out and puts edges in. With `limit`, a change that reaches too far is refused and nothing changes.
    pub(super) fn change(
        &mut self,
        out: &Set<Edge<N>>,
        into: &Set<Edge<N>>,
        limit: Option<usize>,
    ) -> Result<Reached<N>, TooLong> {
        let gone: Vec<_> = out.difference(into).collect();
        let new: Vec<_> = into.difference(out).collect();
        let mut reached = Reached::default();
        if gone.is_empty() && new.is_empty() {
            return Ok(reached);
        }
        let touched = || gone.iter().chain(&new).copied();
        let mut starts = Set::default();
        self.starts(touched(), &mut starts);
        // All that is looked at, before and after; it is the work of this change.
        let mut left = limit.unwrap_or(usize::MAX);
        let before = self.reach(&starts, &mut left)?;
        for edge in &gone {
            self.take(edge);
        }
        for edge in &new {
            self.put(edge);
        }
        // An edge that came may lead further back to starts that did not reach it before.
        self.starts(touched(), &mut starts);
        match self.reach(&starts, &mut left) {
            Ok(after) => {
                reached.lost = before.difference(&after).cloned().collect();
                reached.won = after.difference(&before).cloned().collect();
                Ok(reached)
            }
            Err(too_long) => {
                for edge in &new {
                    self.take(edge);
                }
                for edge in &gone {
                    self.put(edge);
                }
                Err(too_long)
            }
        }
    }

    /// The starts of all chains through `edges`.
    fn starts<'a>(&self, edges: impl Iterator<Item = &'a Edge<N>>, found: &mut Set<(N, N)>)
    where
        N: 'a,
    {
        for (property, from, _) in edges {
            let mut open = vec![from.clone()];
            while let Some(at) = open.pop() {
                if !found.insert((property.clone(), at.clone())) {
                    continue;
                }
                let before = self.0.get(property).and_then(|net| net.backward.get(&at));
                open.extend(before.into_iter().flatten().cloned());
            }
        }
    }

    fn reach(&self, starts: &Set<(N, N)>, left: &mut usize) -> Result<Set<Edge<N>>, TooLong> {
        let mut pairs = Set::default();
        for (property, start) in starts {
            let Some(net) = self.0.get(property) else { continue };
            let mut open = vec![start];
            let mut seen = Set::default();
            while let Some(at) = open.pop() {
                for to in net.forward.get(at).into_iter().flat_map(Map::keys) {
                    if seen.insert(to) {
                        *left = left.checked_sub(1).ok_or(TooLong)?;
                        open.push(to);
                    }
                }
            }
            let edges = net.forward.get(start);
            let further = seen.into_iter().filter(|to| edges.is_none_or(|edges| !edges.contains_key(*to)));
            pairs.extend(further.map(|to| (property.clone(), start.clone(), to.clone())));
        }
        Ok(pairs)
    }

    fn put(&mut self, (property, from, to): &Edge<N>) {
        let net = self.0.entry(property.clone()).or_default();
        let count = net.forward.entry(from.clone()).or_default().entry(to.clone()).or_default();
        *count = count.saturating_add(1);
        net.backward.entry(to.clone()).or_default().insert(from.clone());
    }

    fn take(&mut self, (property, from, to): &Edge<N>) {
        let Some(net) = self.0.get_mut(property) else { return };
        let Some(ends) = net.forward.get_mut(from) else { return };
        if let Some(count) = ends.get_mut(to) {
            *count = count.saturating_sub(1);
            if *count > 0 {
                return;
            }
            ends.remove(to);
        }
        if ends.is_empty() {
            net.forward.remove(from);
        }
        if let Some(starts) = net.backward.get_mut(to) {
            starts.remove(from);
            if starts.is_empty() {
                net.backward.remove(to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(u32, u32)]) -> Set<Edge<u32>> {
        pairs.iter().map(|(a, b)| (999, *a, *b)).collect()
    }

    #[test]
    fn a_link_in_the_middle_joins_and_parts_both_sides() {
        let mut chains = Chains::default();
        chains.change(&edges(&[]), &edges(&[(1, 2)]), None).unwrap();
        chains.change(&edges(&[]), &edges(&[(3, 4)]), None).unwrap();
        let won = chains.change(&edges(&[]), &edges(&[(2, 3)]), None).unwrap().won;
        assert_eq!(won, edges(&[(1, 3), (1, 4), (2, 4)]));
        let lost = chains.change(&edges(&[(2, 3)]), &edges(&[]), None).unwrap().lost;
        assert_eq!(lost, won);
    }

    #[test]
    fn what_is_said_twice_holds_until_it_is_said_no_more() {
        let mut chains = Chains::default();
        chains.change(&edges(&[]), &edges(&[(1, 2)]), None).unwrap();
        chains.change(&edges(&[]), &edges(&[(0, 1)]), None).unwrap();
        let again = chains.change(&edges(&[]), &edges(&[(1, 2)]), None).unwrap();
        assert_eq!(again, Reached::default());
        let once = chains.change(&edges(&[(1, 2)]), &edges(&[]), None).unwrap();
        assert_eq!(once, Reached::default());
        let gone = chains.change(&edges(&[(1, 2)]), &edges(&[]), None).unwrap();
        assert_eq!(gone.lost, edges(&[(0, 2)]));
    }

    #[test]
    fn in_a_circle_everything_reaches_itself_too() {
        let mut chains = Chains::default();
        let won = chains.change(&edges(&[]), &edges(&[(1, 2), (2, 1)]), None).unwrap().won;
        assert_eq!(won, edges(&[(1, 1), (2, 2)]));
    }

    #[test]
    fn a_pair_that_becomes_an_edge_is_no_chains_any_more_and_again_when_the_edge_goes() {
        let mut chains = Chains::default();
        chains.change(&edges(&[]), &edges(&[(1, 2), (2, 3)]), None).unwrap();
        let reached = chains.change(&edges(&[]), &edges(&[(1, 3)]), None).unwrap();
        assert_eq!((reached.won.len(), reached.lost), (0, edges(&[(1, 3)])));
        let reached = chains.change(&edges(&[(1, 3)]), &edges(&[]), None).unwrap();
        assert_eq!((reached.won, reached.lost.len()), (edges(&[(1, 3)]), 0));
    }

    #[test]
    fn a_change_that_reaches_too_far_changes_nothing() {
        let mut chains = Chains::default();
        let line: Vec<_> = (0..50).map(|n| (n, n + 1)).collect();
        chains.change(&edges(&[]), &edges(&line), None).unwrap();
        assert_eq!(chains.change(&edges(&[]), &edges(&[(50, 0)]), Some(100)), Err(TooLong));
        let gone = chains.change(&edges(&[(49, 50)]), &edges(&[]), None).unwrap();
        assert_eq!(gone.lost.len(), 49);
    }
}
