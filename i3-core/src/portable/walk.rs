//! Row after row, in pages.

use std::collections::VecDeque;

use crate::store::{Collection, Cursor, Row, Scan, Store, StoreError, StoreErrorKind, Units, limits};

/// The rows of a scan, one after the other; holds one page at a time.
#[derive(Debug)]
pub struct Rows<'a> {
    store: &'a dyn Store,
    /// What to ask for next, if anything.
    scan: Option<Scan>,
    page: VecDeque<Row>,
}

impl<'a> Rows<'a> {
    /// The rows of this scan.
    pub fn of(store: &'a dyn Store, scan: Scan) -> Self {
        Self { store, scan: Some(scan.limit(limits::PAGE_ROWS)), page: VecDeque::new() }
    }

    /// Everything in a collection by id, but for counters at zero: they are the same as absent ones.
    pub fn ids(store: &'a dyn Store, collection: &'static Collection) -> Self {
        Self::of(store, Scan::ids(collection))
    }

    /// The entries of a stream after a position.
    pub fn entries(store: &'a dyn Store, stream: crate::store::Key, after: u64) -> Result<Self, StoreError> {
        let mut scan = Scan::entries(stream).map_err(foreign)?;
        if after > 0 {
            scan = scan.after(Cursor::after_position(after)).map_err(foreign)?;
        }
        Ok(Self::of(store, scan))
    }

    /// The next row, or none at the end.
    pub async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        loop {
            match self.page.pop_front() {
                Some(Row::Counter { units: Units::ZERO, .. }) => continue,
                Some(row) => return Ok(Some(row)),
                None => {}
            }
            let Some(scan) = self.scan.take() else { return Ok(None) };
            let page = self.store.scan(&scan).await?;
            self.page = page.rows.into();
            if let Some(next) = page.next {
                self.scan = Some(scan.after(next).map_err(foreign)?);
            }
        }
    }
}

fn foreign(error: crate::store::InvalidScan) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "the store cannot be walked").with_source(error)
}
