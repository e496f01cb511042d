//! The ontology in force at `/ontology`, and what administrators add to it.
//!
//! There is one text in Turtle, which is put as a whole (`If-Match` keeps two from writing over one another); each version
//! stays. A text that contradicts itself or the ontology that ships with the program is refused with the reason. The answer
//! comes when discovery goes by it.

use axum::http::HeaderValue;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use i3_core::access::{Action, Resource};
use i3_core::market::{Caller, ChangeOntology, Paged, RecordTag, UnchangedOntology};
use i3_core::name::Prose;
use i3_core::ontology::OntologyExtension;
use i3_core::store::StoreError;
use i3_semantic::sparql::AnswerFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::representation::{Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, InPath, InQuery, PageQuery};
use super::route::{Doc, Done, Output, Routes, about};
use super::sparql::{self, SparqlAnswer};

const EXTENSION: &str = "/ontology/extension";
const VERSIONS: &str = "/ontology/versions";

pub(super) fn routes() -> Routes {
    let manages = |id, summary| about(id, summary).permission(Action::ManageOntology);
    Routes::new()
        .get(
            "/ontology",
            ontology,
            about("show_ontology", "The ontology in force, as Turtle").anybody().own_formats(),
        )
        .get(
            EXTENSION,
            extension,
            manages("show_ontology_extension", "What administrators added to the ontology"),
        )
        .put(
            EXTENSION,
            extend,
            manages("extend_ontology", "Says anew all that is added to the ontology").relation("edit"),
        )
        .delete(
            EXTENSION,
            withdraw,
            manages("withdraw_ontology_extension", "Withdraws what was added to the ontology")
                .relation("delete"),
        )
        .get(
            VERSIONS,
            versions,
            manages("list_ontology_versions", "What was added to the ontology when, the last first"),
        )
        .get(
            "/ontology/versions/{version}",
            version,
            manages("show_ontology_version", "What was added to the ontology in one version"),
        )
}

/// The ontology.
pub(super) struct OntologyAnswer(SparqlAnswer);

impl IntoResponse for OntologyAnswer {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl Output for OntologyAnswer {
    fn describe(doc: &mut Doc<'_>) {
        doc.formats("The ontology", [AnswerFormat::Turtle.media_type()]);
    }
}

async fn ontology(api: Api) -> Answer<OntologyAnswer> {
    let ontology = api.knowledge()?.index.graph().ontology().clone();
    let text = ontology.to_turtle().map_err(|error| sparql::unwritable(error.to_string()))?;
    let mut answer = sparql::answered(text.into_bytes(), AnswerFormat::Turtle);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", ontology.version().digest)) {
        answer.headers_mut().insert(ETAG, tag);
    }
    Ok(OntologyAnswer(answer))
}

/// What is added, and whether it holds.
#[derive(Debug, Serialize, JsonSchema)]
struct Extension {
    #[serde(flatten)]
    extension: OntologyExtension,
    /// Why it is not in force, if it is not: it was stored by a program with another ontology. The version before it that
    /// can be added is in force meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_in_force: Option<String>,
}

impl Extension {
    fn of(api: &Api, extension: OntologyExtension) -> Self {
        let refused = api.knowledge().ok().and_then(|knowledge| knowledge.index.refused());
        let refused = refused.filter(|refused| refused.number == extension.number);
        Self { extension, not_in_force: refused.map(|refused| refused.reason.to_string()) }
    }
}

fn links(caller: &Caller, own: &str, links: &mut Links<'_>) {
    links.own(own);
    links.to("history", VERSIONS);
    if caller.may(Action::ManageOntology, &Resource::MARKETPLACE) {
        links.action("edit", EXTENSION);
        links.action("delete", EXTENSION);
    }
}

impl Linked for Extension {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(&self.extension).map(Some)
    }

    fn links(&self, caller: &Caller, found: &mut Links<'_>) {
        links(caller, EXTENSION, found);
    }
}

impl Linked for OntologyExtension {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, found: &mut Links<'_>) {
        links(caller, &format!("{VERSIONS}/{}", self.number), found);
    }
}

async fn extension(api: Api) -> Answer<Shown<Extension>> {
    let found = api.market().ontology_extension(api.actor).await.map_err(|error| api.refused(error))?;
    api.show(Extension::of(&api, found)).await
}

/// What is added from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OntologyStatements")]
struct Statements {
    /// All of it, as Turtle: at most 40 KiB as a JSON text.
    turtle: String,
    /// Why.
    #[serde(default)]
    remark: Prose,
}

async fn extend(api: Api, Body(body): Body<Statements>) -> Answer<Shown<Extension>> {
    let Statements { turtle, remark } = body;
    let command = ChangeOntology { turtle: Some(turtle), remark, expect: None };
    let done = api.execute_while(|seen| UnchangedOntology { seen }, command).await?;
    api.show(Extension::of(&api, done)).await
}

async fn withdraw(api: Api) -> Answer<Done> {
    let command = ChangeOntology { turtle: None, remark: Prose::default(), expect: None };
    api.execute_while(|seen| UnchangedOntology { seen }, command).await?;
    Ok(Done)
}

async fn versions(api: Api, InQuery(page): InQuery<PageQuery>) -> Answer<Shown<Listed<OntologyExtension>>> {
    let versions = api.market().ontology_versions(api.actor, &page.request()?).await;
    let Paged { items, next } = versions.map_err(|error| api.refused(error))?;
    api.list(Paged { items, next }).await
}

async fn version(api: Api, InPath(version): InPath<u32>) -> Answer<Shown<OntologyExtension>> {
    let found = api.market().ontology_version(api.actor, version).await;
    api.show(found.map_err(|error| api.refused(error))?).await
}
