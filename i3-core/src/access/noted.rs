//! Which denial came last, for who tells of it.

use std::sync::{Mutex, PoisonError};

use super::{Action, Denial};

/// The last denial of one request, as far as decisions were made for it: a thing that is not there for who may not
/// know of it is answered as missing, and only this says that it was denied.
#[derive(Debug, Default)]
pub struct Noted(Mutex<Option<String>>);

impl Noted {
    /// Notes a denial.
    pub(crate) fn note(&self, action: Action, denial: &Denial) {
        let missing = match denial {
            Denial::Forbidden(_) => action.permission().to_owned(),
            Denial::OutOfScope { needed } => needed.to_string(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(missing);
    }

    /// The permission or scope that was missing last, if anything was denied.
    pub fn missing(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
