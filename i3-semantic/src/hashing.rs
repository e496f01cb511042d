//! Maps and sets whose hash costs little.
//!
//! A description is some hundred lookups of short texts; with std's `SipHash` they were a seventh of the time that an
//! index takes to be made. foldhash is seeded anew in each process, so that nobody knows before which texts collide.

use std::collections::{HashMap, HashSet};

pub(crate) use foldhash::quality::RandomState;

pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;
pub(crate) type Set<T> = HashSet<T, RandomState>;
