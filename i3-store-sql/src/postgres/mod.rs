//! The PostgreSQL backend.

mod error;

pub(crate) use error::meaning;
