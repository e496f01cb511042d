//! All dialects against one small marketplace.

mod kicking;
mod recorded;
mod same;
mod world;
