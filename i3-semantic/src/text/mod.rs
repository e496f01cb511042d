//! Free text: words of any language, and an index that ranks what holds them.

mod index;
mod words;

pub(crate) use index::{TextIndex, Weighted};
pub(crate) use words::{Field, Words, query_words};
pub use words::{MAX_WORDS, normal, tokens};
