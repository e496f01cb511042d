//! The decisions of `prepare`; the statements are the dialects'.

use std::collections::HashMap;

use i3_core::store::{Collection, Schema, StoreErrorKind};

use super::Failure;
use crate::description::Description;

/// Refuses data of a later revision than the schema's.
pub(crate) fn check_revision(stored: i64, schema: &Schema) -> Result<(), Failure> {
    let known = i64::from(schema.revision());
    if stored > known {
        let message = format!(
            "the data are of revision {stored}, this program knows revision {known}: use a newer version"
        );
        return Err(Failure::new(StoreErrorKind::Incompatible, message));
    }
    Ok(())
}

/// The collections whose tables are to be made or whose description is to be written, with the
/// description. `stored` has the stored descriptions and the words about the collections, by name. Refuses
/// a collection that is stored with another shape.
pub(crate) fn changed(
    schema: &Schema,
    stored: &HashMap<String, (String, String)>,
) -> Result<Vec<(&'static Collection, String)>, Failure> {
    let mut changed = Vec::new();
    for collection in schema.collections() {
        let name = collection.name;
        let description = Description::of(collection);
        let known = stored.get(name);
        if let Some((known, _)) = known {
            let known: Description = serde_json::from_str(known).map_err(|_| {
                Failure::corrupt(format!("the description of the collection `{name}` is not readable"))
            })?;
            if known != description {
                let message = format!("the collection `{name}` is stored with other columns or indexes");
                return Err(Failure::new(StoreErrorKind::Incompatible, message));
            }
        }
        if known.is_none_or(|(_, about)| about != collection.about) {
            let description = serde_json::to_string(&description)
                .map_err(|_| Failure::corrupt("a description cannot be written"))?;
            changed.push((*collection, description));
        }
    }
    Ok(changed)
}
