//! Unique names.
//!
//! A name is taken by creating its reservation in the same batch as its holder; so uniqueness is the
//! same rule on every engine, and no check can be overtaken.

use serde::{Deserialize, Serialize};

use crate::name::{AuthId, Slug, Topic};
use crate::store::{Collection, Entity, Kind, Value};

/// A taken name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The space and the name, for instance `user:alice`.
    pub name: String,
    /// The id of what holds it.
    pub holder: String,
}

impl Reservation {
    /// Where the login name of a user is reserved.
    pub fn user(name: &Slug) -> String {
        format!("user:{name}")
    }

    /// Where the slug of a hub is reserved.
    pub fn hub(slug: &Slug) -> String {
        format!("hub:{slug}")
    }

    /// Where the login of a device is reserved.
    pub fn device(auth_id: &AuthId) -> String {
        format!("device:{auth_id}")
    }

    /// Where the topic of a product is reserved.
    pub fn topic(topic: &Topic) -> String {
        format!("topic:{topic}")
    }
}

static RESERVATIONS: Collection = Collection {
    name: "reservations",
    kind: Kind::Records,
    about: "unique names and who holds them",
    columns: &[],
    indexes: &[],
};

impl Entity for Reservation {
    type Id = String;

    fn collection() -> &'static Collection {
        &RESERVATIONS
    }

    fn id(&self) -> String {
        self.name.clone()
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}
