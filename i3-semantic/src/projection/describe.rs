//! What is public of records, as descriptions. Pure functions of the records.

use i3_core::hub::{Hub, HubState};
use i3_core::market::ObjectView;
use i3_core::money::{Currency, UnitPrice};
use i3_core::offer::{Offer, OfferState, Plan};
use i3_core::product::{Product, ProductState};
use i3_core::quality::QualitySummary;
use i3_core::rating::Score;
use i3_core::virtual_object::{Content, Location, ObjectKind};

use oxigraph::model::NamedNodeRef;

use crate::description::{Attribute, Description, Facet, Listing, Point, Price, Rating};
use crate::ontology::is_reserved;
use crate::vocabulary;

/// Says it if it can be said. What the marketplace accepts and a facet does not (a place with an empty part) is not
/// found by that facet; it is still in the document.
fn say(description: &mut Description, facet: Facet, text: &str) {
    let _ = description.add(facet, text);
}

/// What is told of where something is.
fn locate(description: &mut Description, location: &Location) {
    if let Some(place) = &location.place {
        say(description, Facet::Place, place.as_str());
    }
    if let Some(point) = location.point {
        // From ten-millionths to millionths of a degree.
        description.point = Point::from_micros(point.lat.e7() / 10, point.lon.e7() / 10).ok();
    }
}

fn attributes(description: &mut Description, content: &Content) {
    for field in &content.attributes {
        let unit = field.unit.as_ref().map(ToString::to_string);
        if let Ok(attribute) = Attribute::new(field.name.as_str(), unit.as_deref()) {
            description.add_attribute(attribute);
        }
    }
}

/// The description of what everybody sees of an object: of its public face, as
/// [`Marketplace::public_object`](i3_core::market::Marketplace::public_object) gives it.
pub fn of_object(view: &ObjectView) -> Description {
    let (object, content) = (&view.object, &view.content);
    let id = object.id.to_string();
    let mut description = Description::new(&id, Listing::Object, content.title.as_str(), object.created);
    let kind = match content.kind {
        ObjectKind::Sensor => vocabulary::SENSOR,
        ObjectKind::Actuator => vocabulary::ACTUATOR,
        ObjectKind::Service => vocabulary::SERVICE_OBJECT,
    };
    say(&mut description, Facet::Kind, kind.as_str());
    for class in &content.classes {
        // What belongs to a standard (`owl:Thing`) says nothing of an object, and the graph does not take it.
        if NamedNodeRef::new(class.as_str()).is_ok_and(|class| !is_reserved(class)) {
            say(&mut description, Facet::Kind, class.as_str());
        }
    }
    for protocol in &content.protocols {
        say(&mut description, Facet::Protocol, protocol.as_str());
    }
    for platform in &content.platforms {
        say(&mut description, Facet::Platform, platform.as_str());
    }
    for tag in content.tags.iter().chain(&content.category) {
        say(&mut description, Facet::Tag, tag.as_str());
    }
    for method in &content.methods {
        say(&mut description, Facet::Method, method.name.as_str());
        description.texts.extend(text(method.description.as_str()));
    }
    if let Some(model) = &content.model {
        say(&mut description, Facet::Model, model.as_str());
    }
    if let Some(domain) = &content.domain {
        say(&mut description, Facet::Domain, domain.as_str());
    }
    let provider = object.hub.map_or_else(|| object.owner.to_string(), |hub| hub.to_string());
    say(&mut description, Facet::Provider, &provider);
    attributes(&mut description, content);
    if let Some(location) = &content.location {
        locate(&mut description, location);
    }
    description.texts.extend(text(content.body.as_str()));
    description.updated = object.public.as_ref().map(|public| public.changed);
    description
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What one message costs by a plan, rounded up; nothing if that is more than a unit price can be.
fn per_message(plan: &Plan, currency: Currency) -> Option<UnitPrice> {
    match plan {
        Plan::Free { .. } => UnitPrice::try_from(0).ok(),
        Plan::PerMessage { unit_price, .. } => Some(*unit_price),
        Plan::FixedCount { messages, price } => {
            let scale = 10_u128.checked_pow(u32::from(currency.scale()))?;
            let nanos = u128::try_from(price.minor()).ok()?.checked_mul(1_000_000_000)?;
            let nanos = nanos.div_ceil(scale.checked_mul(u128::from(*messages))?.max(1));
            UnitPrice::try_from(u64::try_from(nanos).ok()?).ok()
        }
        _ => None,
    }
}

/// The measured quality in thousandths: the share of the messages that a stream's numbers promise and that were taken,
/// times the share of the checked ones that conform to the schema. Nothing if nothing was measured.
pub fn quality_of(summary: &QualitySummary) -> Option<u16> {
    if summary.messages == 0 {
        return None;
    }
    let all = u128::from(summary.messages) + u128::from(summary.missing);
    let conforming = u128::from(summary.conforming_per_mille.unwrap_or(1_000));
    u16::try_from((u128::from(summary.messages) * conforming).checked_div(all)?).ok()
}

/// What is known of a product beside its own record.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Who sells it.
    pub hub: &'a Hub,
    /// What buyers think.
    pub score: Score,
    /// All its offers.
    pub offers: &'a [Offer],
    /// What was measured.
    pub quality: Option<&'a QualitySummary>,
    /// The public face of the object whose data it delivers.
    pub object: Option<&'a ObjectView>,
}

/// The description of a product that is listed by a hub that is active; of another, nothing. Where it is, what it
/// measures and its field of use are those of its object.
pub fn of_product(product: &Product, beside: &Beside<'_>) -> Option<Description> {
    if product.state != ProductState::Listed || beside.hub.state != HubState::Active {
        return None;
    }
    let id = product.id.to_string();
    let mut description = Description::new(&id, Listing::Product, product.title.as_str(), product.created);
    for tag in &product.tags {
        say(&mut description, Facet::Tag, tag.as_str());
    }
    say(&mut description, Facet::Provider, &product.hub.to_string());
    description.labels.push(beside.hub.title.as_str().to_owned());
    description.texts.extend(text(product.description.as_str()));
    for offer in beside.offers.iter().filter(|offer| offer.state == OfferState::Published) {
        if let Some(per_message) = per_message(&offer.plan, offer.currency) {
            description.add_price(Price { currency: offer.currency, per_message });
        }
    }
    description.rating = beside.score.tenths().and_then(|tenths| {
        let ratings = u32::try_from(beside.score.ratings).unwrap_or(u32::MAX);
        Some(Rating { tenths: u16::try_from(tenths).ok()?, ratings })
    });
    description.quality = beside.quality.and_then(quality_of);
    if let Some(ObjectView { content, .. }) = beside.object {
        attributes(&mut description, content);
        if let Some(location) = &content.location {
            locate(&mut description, location);
        }
        if let Some(domain) = &content.domain {
            say(&mut description, Facet::Domain, domain.as_str());
        }
    }
    Some(description)
}
