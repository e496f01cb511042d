//! The public listing for programs that know DCAT and ODRL: `GET /catalogue`, a page at a time.

use std::collections::HashMap;

use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use i3_core::access::Actor;
use i3_core::market::{CatalogueFilter, PageRequest, Paged, TimeOrder};
use i3_semantic::catalogue::{Catalogue, Entry, write};
use i3_semantic::graph::Format;

use super::problem::Problem;
use super::representation::best_kind;
use super::request::{Answer, Api, InQuery, PageQuery};
use super::route::{Doc, Output, Routes, about};

/// Offers that are read at a time.
const OFFERS: usize = 100;
/// The formats, the preferred one first.
const FORMATS: [Format; 2] = [Format::Turtle, Format::JsonLd];

pub(super) fn routes() -> Routes {
    let about =
        about("show_catalogue", "Listed products and their offers in DCAT 3 and ODRL, a page at a time");
    Routes::new().get("/catalogue", show, about.anybody().own_formats())
}

/// A page of the catalogue.
pub(super) struct CatalogueAnswer(Response);

impl IntoResponse for CatalogueAnswer {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Output for CatalogueAnswer {
    fn describe(doc: &mut Doc<'_>) {
        doc.formats("A page; `Link` leads to the next", FORMATS.map(Format::media_type));
    }
}

/// What can only be our own mistake.
fn unwritable(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!("the catalogue could not be written: {error}");
    Problem::internal()
}

async fn show(api: Api, headers: HeaderMap, InQuery(query): InQuery<PageQuery>) -> Answer<CatalogueAnswer> {
    let kind = best_kind(&headers, &FORMATS.map(Format::media_type));
    let format = FORMATS.into_iter().find(|format| Some(format.media_type()) == kind).ok_or_else(|| {
        let detail = "the catalogue is to be had as text/turtle and application/ld+json";
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    })?;
    let refused = |error| api.refused(error);
    let catalogue = Catalogue::new(api.access().oauth.settings().issuer());
    let catalogue = catalogue.map_err(|error| unwritable(&error))?;
    let mut triples = catalogue.head().map_err(|error| unwritable(&error))?;
    let Paged { items, next } = api
        .market()
        .catalogue(&CatalogueFilter::default(), TimeOrder::Newest, &query.request()?)
        .await
        .map_err(refused)?;
    let mut hubs = HashMap::new();
    for card in &items {
        let id = card.product.hub;
        let hub = match hubs.get(&id) {
            Some(hub) => hub,
            None => hubs.entry(id).or_insert(api.market().hub(id).await.map_err(refused)?),
        };
        let (mut offers, mut page) = (Vec::new(), PageRequest { after: None, limit: OFFERS });
        loop {
            let found = api
                .market()
                .offers(Actor::Anonymous, card.product.id, None, TimeOrder::Newest, &page)
                .await
                .map_err(refused)?;
            offers.extend(found.items);
            match found.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let entry = Entry { card, hub, offers: &offers };
        triples.extend(catalogue.entry(&entry).map_err(|error| unwritable(&error))?);
    }
    let mut text = Vec::new();
    write(&triples, format, &mut text).map_err(|error| unwritable(&error))?;
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    if let Some(next) = next {
        let link = format!("<{}>; rel=\"next\"", api.further(&next.to_string()));
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    Ok(CatalogueAnswer(response))
}
