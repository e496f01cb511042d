//! The public listing as DCAT 3 (W3C Recommendation, 22 August 2024) with policies of ODRL 2.2 and offers of schema.org.
//!
//! A listed product is a `dcat:Dataset` of the marketplace's `dcat:Catalog`, its stream the `dcat:Distribution`. Each published
//! offer is an `odrl:Offer`: to use the data is permitted, as often and as long as the offer says, under the duty to pay; the
//! same node is a `schema:Offer` with the price for people. Names are the addresses of the interface, so that they can be
//! followed. Everything is made of records that everybody may see: pure functions, nothing is read here.

use std::io::{self, Write};

use i3_core::hub::{Hub, HubState};
use i3_core::market::ProductCard;
use i3_core::money::Currency;
use i3_core::offer::{Offer, OfferState, Plan};
use i3_core::product::ProductState;
use oxigraph::io::RdfSerializer;
use oxigraph::model::vocab::{rdf, xsd};
use oxigraph::model::{BlankNode, IriParseError, Literal, NamedNode, NamedOrBlankNode, Term, Triple};

use crate::description::decimal_literal;
use crate::graph::Format;

const DCAT: &str = "http://www.w3.org/ns/dcat#";
const DCT: &str = "http://purl.org/dc/terms/";
const FOAF: &str = "http://xmlns.com/foaf/0.1/";
const ODRL: &str = "http://www.w3.org/ns/odrl/2/";
const SCHEMA: &str = "https://schema.org/";
/// Currencies as the European Union's authority table names them.
const CURRENCY: &str = "http://publications.europa.eu/resource/authority/currency/";

/// The names of the catalogue and of what is in it.
#[derive(Debug, Clone)]
pub struct Catalogue {
    address: String,
    itself: NamedNode,
}

/// A listed product with what is told of it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The product and what buyers think of it.
    pub card: &'a ProductCard,
    /// Who sells it.
    pub hub: &'a Hub,
    /// All its offers; those that are not published are left out.
    pub offers: &'a [Offer],
}

/// Triples while they are being made.
struct Facts(Vec<Triple>);

impl Facts {
    fn say(
        &mut self,
        subject: &(impl Clone + Into<NamedOrBlankNode>),
        namespace: &str,
        property: &str,
        value: impl Into<Term>,
    ) -> Result<(), IriParseError> {
        self.0.push(Triple::new(subject.clone(), term(namespace, property)?, value));
        Ok(())
    }

    fn is_a(
        &mut self,
        subject: &(impl Clone + Into<NamedOrBlankNode>),
        namespace: &str,
        class: &str,
    ) -> Result<(), IriParseError> {
        self.0.push(Triple::new(subject.clone(), rdf::TYPE.into_owned(), term(namespace, class)?));
        Ok(())
    }
}

fn term(namespace: &str, name: &str) -> Result<NamedNode, IriParseError> {
    NamedNode::new(format!("{namespace}{name}"))
}

fn text(text: &str) -> Literal {
    Literal::from(text)
}

impl Catalogue {
    /// The catalogue of the marketplace at this address, `https://market.example`.
    ///
    /// # Errors
    ///
    /// The address is no absolute IRI.
    pub fn new(address: &str) -> Result<Self, IriParseError> {
        let address = format!("{}/api/v1", address.trim_end_matches('/'));
        let itself = NamedNode::new(format!("{address}/catalogue"))?;
        Ok(Self { address, itself })
    }

    fn at(&self, path: std::fmt::Arguments<'_>) -> Result<NamedNode, IriParseError> {
        NamedNode::new(format!("{}{path}", self.address))
    }

    /// What is said of the catalogue itself.
    ///
    /// # Errors
    ///
    /// None in practice: all names are IRIs.
    pub fn head(&self) -> Result<Vec<Triple>, IriParseError> {
        let mut facts = Facts(Vec::new());
        facts.is_a(&self.itself, DCAT, "Catalog")?;
        facts.say(&self.itself, DCT, "title", text("I3 data marketplace"))?;
        Ok(facts.0)
    }

    /// What is said of a product; nothing if it is not listed by an active hub.
    ///
    /// # Errors
    ///
    /// None in practice: all names are IRIs.
    pub fn entry(&self, entry: &Entry<'_>) -> Result<Vec<Triple>, IriParseError> {
        let (product, hub) = (&entry.card.product, entry.hub);
        let mut facts = Facts(Vec::new());
        if product.state != ProductState::Listed || hub.state != HubState::Active {
            return Ok(facts.0);
        }
        let dataset = self.at(format_args!("/products/{}", product.id))?;
        let publisher = self.at(format_args!("/hubs/{}", hub.id))?;
        facts.say(&self.itself, DCAT, "dataset", dataset.clone())?;
        facts.is_a(&dataset, DCAT, "Dataset")?;
        facts.say(&dataset, DCT, "identifier", text(&product.id.to_string()))?;
        facts.say(&dataset, DCT, "title", text(product.title.as_str()))?;
        if !product.description.as_str().is_empty() {
            facts.say(&dataset, DCT, "description", text(product.description.as_str()))?;
        }
        let issued = Literal::new_typed_literal(product.created.to_string(), xsd::DATE_TIME);
        facts.say(&dataset, DCT, "issued", issued)?;
        for tag in &product.tags {
            facts.say(&dataset, DCAT, "keyword", text(tag.as_str()))?;
        }
        facts.say(&dataset, DCT, "publisher", publisher.clone())?;
        facts.is_a(&publisher, FOAF, "Agent")?;
        facts.say(&publisher, FOAF, "name", text(hub.title.as_str()))?;

        let stream = NamedNode::new(format!("{}#stream", dataset.as_str()))?;
        facts.say(&dataset, DCAT, "distribution", stream.clone())?;
        facts.is_a(&stream, DCAT, "Distribution")?;
        facts.say(&stream, DCT, "title", text(product.topic.as_str()))?;
        facts.say(&stream, DCAT, "accessURL", dataset.clone())?;
        if let Some(tenths) = entry.card.score.tenths().and_then(|tenths| i64::try_from(tenths).ok()) {
            let rating = BlankNode::default();
            facts.say(&dataset, SCHEMA, "aggregateRating", rating.clone())?;
            facts.is_a(&rating, SCHEMA, "AggregateRating")?;
            facts.say(&rating, SCHEMA, "ratingValue", decimal_literal(tenths, 1))?;
            facts.say(&rating, SCHEMA, "ratingCount", Literal::from(entry.card.score.ratings))?;
        }
        for offer in entry.offers.iter().filter(|offer| offer.state == OfferState::Published) {
            self.offer(&mut facts, &dataset, &publisher, offer)?;
        }
        Ok(facts.0)
    }

    fn offer(
        &self,
        facts: &mut Facts,
        dataset: &NamedNode,
        publisher: &NamedNode,
        offer: &Offer,
    ) -> Result<(), IriParseError> {
        let policy = self.at(format_args!("/offers/{}", offer.id))?;
        facts.say(dataset, ODRL, "hasPolicy", policy.clone())?;
        facts.is_a(&policy, ODRL, "Offer")?;
        facts.say(&policy, ODRL, "uid", policy.clone())?;
        let permission = BlankNode::default();
        facts.say(&policy, ODRL, "permission", permission.clone())?;
        facts.say(&permission, ODRL, "target", dataset.clone())?;
        facts.say(&permission, ODRL, "assigner", publisher.clone())?;
        facts.say(&permission, ODRL, "action", term(ODRL, "use")?)?;
        if let Some(quota) = offer.plan.quota() {
            let limit = constraint(facts, "count", "lteq", Literal::from(quota))?;
            facts.say(&permission, ODRL, "constraint", limit)?;
        }
        if let Some(seconds) = offer.term_seconds {
            let term = Literal::new_typed_literal(format!("PT{seconds}S"), xsd::DURATION);
            let limit = constraint(facts, "elapsedTime", "lteq", term)?;
            facts.say(&permission, ODRL, "constraint", limit)?;
        }

        facts.say(dataset, SCHEMA, "offers", policy.clone())?;
        facts.is_a(&policy, SCHEMA, "Offer")?;
        facts.say(&policy, SCHEMA, "priceCurrency", text(&offer.currency.to_string()))?;
        let (price, unit) = match &offer.plan {
            Plan::PerMessage { unit_price, .. } => (
                i64::try_from(unit_price.nanos()).ok().map(|nanos| decimal_literal(nanos, 9)),
                Some("message"),
            ),
            plan => (Some(decimal_literal(plan.upfront().minor(), offer.currency.scale().into())), None),
        };
        let Some(price) = price else { return Ok(()) };
        facts.say(&policy, SCHEMA, "price", price.clone())?;
        if let Some(unit) = unit {
            let each = BlankNode::default();
            facts.say(&policy, SCHEMA, "priceSpecification", each.clone())?;
            facts.is_a(&each, SCHEMA, "UnitPriceSpecification")?;
            facts.say(&each, SCHEMA, "price", price.clone())?;
            facts.say(&each, SCHEMA, "priceCurrency", text(&offer.currency.to_string()))?;
            facts.say(&each, SCHEMA, "unitText", text(unit))?;
        }
        if !matches!(offer.plan, Plan::Free { .. }) {
            let duty = BlankNode::default();
            facts.say(&permission, ODRL, "duty", duty.clone())?;
            facts.say(&duty, ODRL, "action", term(ODRL, "compensate")?)?;
            let pays = constraint(facts, "payAmount", "eq", price)?;
            facts.say(&pays, ODRL, "unit", currency(offer.currency)?)?;
            facts.say(&duty, ODRL, "constraint", pays)?;
        }
        Ok(())
    }
}

fn currency(currency: Currency) -> Result<NamedNode, IriParseError> {
    term(CURRENCY, &currency.to_string())
}

/// A constraint of ODRL: what is on the left, how it is compared, with what.
fn constraint(
    facts: &mut Facts,
    left: &str,
    operator: &str,
    right: Literal,
) -> Result<BlankNode, IriParseError> {
    let constraint = BlankNode::default();
    facts.is_a(&constraint, ODRL, "Constraint")?;
    facts.say(&constraint, ODRL, "leftOperand", term(ODRL, left)?)?;
    facts.say(&constraint, ODRL, "operator", term(ODRL, operator)?)?;
    facts.say(&constraint, ODRL, "rightOperand", right)?;
    Ok(constraint)
}

/// Writes triples with the prefixes of the vocabularies that a catalogue is made of.
///
/// # Errors
///
/// Those of `to`.
pub fn write(triples: &[Triple], format: Format, to: impl Write) -> io::Result<()> {
    let mut serializer = RdfSerializer::from_format(format.rdf());
    for (prefix, namespace) in
        [("dcat", DCAT), ("dct", DCT), ("foaf", FOAF), ("odrl", ODRL), ("schema", SCHEMA), ("cur", CURRENCY)]
    {
        serializer = serializer.with_prefix(prefix, namespace).map_err(io::Error::other)?;
    }
    let mut writer = serializer.for_writer(to);
    for triple in triples {
        writer.serialize_triple(triple)?;
    }
    writer.finish()?.flush()
}
