//! The numbers of things, by slot.

use std::collections::BTreeMap;

use i3_core::money::Currency;
use roaring::RoaringBitmap;

use super::analysis::Numbers;
use super::{geo, make_room, place};
use crate::description::Point;
use crate::hashing::Map;

/// In place of a quality that was not measured.
const UNMEASURED: u16 = u16::MAX;

/// See the [module](self). What few things have is kept in maps, what all have in columns.
#[derive(Debug, Default)]
pub(super) struct Columns {
    created: Vec<i64>,
    rating: Vec<i64>,
    quality: Vec<u16>,
    titles: Vec<Box<str>>,
    prices: Map<Currency, Map<u32, u64>>,
    points: Map<u32, Point>,
    cells: BTreeMap<geo::Cell, RoaringBitmap>,
}

fn put<T: Clone>(column: &mut Vec<T>, slot: u32, value: T, none: T) {
    let at = place(slot);
    while column.len() <= at {
        make_room(column);
        column.push(none.clone());
    }
    if let Some(entry) = column.get_mut(at) {
        *entry = value;
    }
}

impl Columns {
    pub(super) fn set(&mut self, slot: u32, numbers: &Numbers, title: Box<str>) {
        put(&mut self.created, slot, numbers.created, 0);
        put(&mut self.rating, slot, numbers.rating, 0);
        put(&mut self.quality, slot, numbers.quality.unwrap_or(UNMEASURED), UNMEASURED);
        put(&mut self.titles, slot, title, Box::default());
        for (currency, nanos) in &numbers.prices {
            self.prices.entry(*currency).or_default().insert(slot, *nanos);
        }
        if let Some(point) = numbers.point {
            self.points.insert(slot, point);
            self.cells.entry(geo::cell(point)).or_default().insert(slot);
        }
    }

    pub(super) fn clear(&mut self, slot: u32) {
        put(&mut self.titles, slot, Box::default(), Box::default());
        self.prices.retain(|_, prices| {
            prices.remove(&slot);
            !prices.is_empty()
        });
        if let Some(point) = self.points.remove(&slot) {
            let cell = geo::cell(point);
            if let Some(slots) = self.cells.get_mut(&cell) {
                slots.remove(slot);
                if slots.is_empty() {
                    self.cells.remove(&cell);
                }
            }
        }
    }

    pub(super) fn get(&self, slot: u32) -> Option<(Numbers, Box<str>)> {
        let mut prices: Vec<_> = self
            .prices
            .iter()
            .filter_map(|(currency, prices)| Some((*currency, *prices.get(&slot)?)))
            .collect();
        prices.sort_by_key(|(currency, _)| currency.to_string());
        let numbers = Numbers {
            created: *self.created.get(place(slot))?,
            rating: self.rating(slot),
            quality: self.quality(slot),
            point: self.point(slot),
            prices,
        };
        Some((numbers, self.title(slot).into()))
    }

    pub(super) fn created(&self, slot: u32) -> i64 {
        self.created.get(place(slot)).copied().unwrap_or(0)
    }

    pub(super) fn rating(&self, slot: u32) -> i64 {
        self.rating.get(place(slot)).copied().unwrap_or(0)
    }

    pub(super) fn quality(&self, slot: u32) -> Option<u16> {
        self.quality.get(place(slot)).copied().filter(|quality| *quality != UNMEASURED)
    }

    pub(super) fn title(&self, slot: u32) -> &str {
        self.titles.get(place(slot)).map_or("", |title| title)
    }

    /// The prices in a currency.
    pub(super) fn prices(&self, currency: Currency) -> Option<&Map<u32, u64>> {
        self.prices.get(&currency)
    }

    pub(super) fn point(&self, slot: u32) -> Option<Point> {
        self.points.get(&slot).copied()
    }

    /// All that can be so near: those in the cells that the circle touches.
    pub(super) fn around(&self, centre: Point, metres: u32) -> RoaringBitmap {
        let mut around = RoaringBitmap::new();
        for (from, to) in geo::rows(centre, metres) {
            for (_, slots) in self.cells.range(from..=to) {
                around |= slots;
            }
        }
        around
    }
}
