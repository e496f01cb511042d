//! Listing with pagination (section 7.3.2.1.5 of the standard).

use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use i3_semantic::wot::directory::{SortBy, Window};
use i3_semantic::wot::registration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answered, directory, refused};
use crate::rest::problem::Problem;
use crate::rest::request::{Answer, Api, InQuery};

/// Descriptions in a page if the client does not say.
const PAGE: usize = 100;
/// Descriptions in a page at most.
const MAX_PAGE: usize = 500;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Array,
    Collection,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Field {
    Id,
    Created,
    Modified,
    Title,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    Desc,
}

/// What is not known here is refused: a list in another order than was asked for would mislead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    offset: Option<usize>,
    limit: Option<usize>,
    #[serde(default)]
    format: Format,
    sort_by: Option<Field>,
    sort_order: Option<Order>,
}

impl ListQuery {
    fn window(&self) -> Answer<Window> {
        let limit = match self.limit {
            Some(0) => return Err(Problem::invalid("limit", "a positive number is expected")),
            Some(limit) => limit.min(MAX_PAGE),
            None => PAGE,
        };
        let sort_by = match self.sort_by {
            None | Some(Field::Id) => SortBy::Id,
            Some(Field::Created) => SortBy::Created,
            Some(Field::Modified) => SortBy::Modified,
            Some(Field::Title) => SortBy::Title,
        };
        let descending = self.sort_order == Some(Order::Desc);
        Ok(Window { offset: self.offset.unwrap_or(0), limit, sort_by, descending })
    }

    /// The query of the page that begins there, with all that makes it the same list.
    fn at(&self, offset: usize, limit: usize) -> String {
        let mut query = format!("offset={offset}&limit={limit}");
        if self.format == Format::Collection {
            query.push_str("&format=collection");
        }
        if let Some(field) = self.sort_by {
            let field = match field {
                Field::Id => "id",
                Field::Created => "created",
                Field::Modified => "modified",
                Field::Title => "title",
            };
            query.push_str("&sort_by=");
            query.push_str(field);
        }
        if let Some(order) = self.sort_order {
            query.push_str(if order == Order::Desc { "&sort_order=desc" } else { "&sort_order=asc" });
        }
        query
    }
}

pub(super) async fn list(
    api: Api,
    headers: HeaderMap,
    InQuery(query): InQuery<ListQuery>,
) -> Answer<Response> {
    let directory = directory(&api)?;
    let window = query.window()?;
    let viewer = directory.viewer(api.actor).await.map_err(|error| refused(&api, error))?;
    let listing = directory.list(viewer, &window).await.map_err(|error| refused(&api, error))?;
    let things = api.place("/things");
    let limit = query.limit.unwrap_or(window.limit);
    let next = listing.next.map(|offset| format!("{things}?{}", query.at(offset, limit)));
    let members: Vec<&Value> = listing.things.iter().map(|thing| &**thing).collect();
    let body = match query.format {
        Format::Array => json!(members),
        Format::Collection => {
            let mut collection = json!({
                "@context": registration::CONTEXT,
                "@type": "ThingCollection",
                "@id": format!("{things}?{}", query.at(window.offset, limit)),
                "total": listing.total,
                "members": members,
            });
            if let (Some(next), Some(members)) = (&next, collection.as_object_mut()) {
                members.insert("next".to_owned(), json!(next));
            }
            collection
        }
    };
    let mut response = answered(&headers, &["application/ld+json", "application/json"], body.to_string())?;
    let canonical = format!("<{things}>; rel=\"canonical\"; etag=\"{}\"", listing.version);
    let next = next.map(|next| format!("<{next}>; rel=\"next\""));
    for link in next.into_iter().chain([canonical]) {
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().append(LINK, link);
        }
    }
    Ok(response)
}
