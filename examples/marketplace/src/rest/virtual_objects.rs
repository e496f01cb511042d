//! Virtual objects: sharing, finding by list, changing, reviewing.

use axum::http::StatusCode;
use i3_core::access::Action;
use i3_core::analytics::{Interaction, Item};
use i3_core::id::{HubId, ProductId, UserId, VirtualObjectId};
use i3_core::market::{
    AmendObject, Caller, CreateObject, EditObject, LinkProduct, MoveObject, ObjectFilter, ObjectOrder,
    ObjectView, Paged, RecordTag, VersionView, WhichVersion,
};
use i3_core::name::{Prose, Slug, Term};
use i3_core::store::StoreError;
use i3_core::time::Timestamp;
use i3_core::virtual_object::{
    Content, ContentHash, ObjectKind, ObjectState, ObjectVersion, Protocol, VirtualObject,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::kept::Keeping;
use super::node;
use super::object_things::{self, OrThing};
use super::problem::Problem;
use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, InPath, InQuery, Patch, page_request};
use super::route::{Done, Routes, about};

pub(super) fn routes() -> Routes {
    let edits = |id, summary| about(id, summary).permission(Action::EditVirtualObject);
    Routes::new()
        .get(
            "/virtual_objects",
            list,
            about("list_virtual_objects", "Virtual objects, by what they are")
                .anybody()
                .permission(Action::ViewVirtualObject),
        )
        .post(
            "/virtual_objects",
            create,
            about(
                "create_virtual_object",
                "Creates a virtual object, in plain form, as the paper prints one, or of a Thing Description",
            )
            .permission(Action::CreateVirtualObject)
            .permission(Action::EditVirtualObject)
            .relation("create-virtual-object")
            .refusal(StatusCode::NOT_FOUND),
        )
        .get(
            "/virtual_objects/{object}",
            show,
            about("show_virtual_object", "A virtual object; a draft is seen by its owner").anybody(),
        )
        .put(
            "/virtual_objects/{object}",
            replace,
            edits("replace_virtual_object", "Says anew all that a virtual object says").relation("edit"),
        )
        .patch(
            "/virtual_objects/{object}",
            amend,
            edits("amend_virtual_object", "Changes some of what a virtual object says").relation("edit"),
        )
        .delete(
            "/virtual_objects/{object}",
            remove,
            about("remove_virtual_object", "Removes a virtual object; its history stays with its owner")
                .permission(Action::DeleteVirtualObject)
                .relation("remove"),
        )
        .put(
            "/virtual_objects/{object}/state",
            set_state,
            edits(
                "set_virtual_object_state",
                "Submits, publishes, deprecates or takes back a virtual object",
            )
            .permission(Action::PublishVirtualObject)
            .permission(Action::DeleteVirtualObject)
            .relation("set-state"),
        )
        .put(
            "/virtual_objects/{object}/product",
            link,
            edits("link_virtual_object", "Links a virtual object to the product that delivers its data")
                .permission(Action::ManageProducts)
                .relation("link-product"),
        )
        .get(
            "/virtual_objects/{object}/history",
            history,
            about("list_virtual_object_versions", "What a virtual object said before, newest first")
                .anybody(),
        )
        .get(
            "/virtual_objects/{object}/versions/{version}",
            version,
            about("show_virtual_object_version", "What it said: by number, or by hash (`sha256:…`)")
                .anybody(),
        )
}

/// A virtual object as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VirtualObject")]
pub(super) struct ObjectAnswer {
    /// What `If-Match` is about; its tag is made only if it is shown.
    #[serde(skip)]
    record: VirtualObject,
    id: VirtualObjectId,
    owner: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<HubId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<ProductId>,
    state: ObjectState,
    /// Raised by every change of whatever kind.
    revision: u32,
    /// The number of this content.
    version: u32,
    /// The hash of this content.
    hash: ContentHash,
    /// The number of what everybody sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_version: Option<u32>,
    /// What the last review said.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<Prose>,
    created: Timestamp,
    updated: Timestamp,
    #[serde(flatten)]
    content: Content,
}

impl ObjectAnswer {
    pub(super) fn of(view: ObjectView) -> Self {
        let ObjectView { object, content } = view;
        Self {
            id: object.id,
            owner: object.owner,
            hub: object.hub,
            product: object.product,
            state: object.state,
            revision: object.revision,
            version: object.version,
            hash: object.content,
            public_version: object.public.as_ref().map(|public| public.version),
            remark: object.remark.clone(),
            created: object.created,
            updated: object.updated,
            content,
            record: object,
        }
    }

    /// In the form that the paper prints.
    fn node(&self) -> Map<String, Value> {
        let mut members = node::write(&self.content);
        let told = serde_json::json!({
            "nid": [{"value": self.id}],
            "status": [{"value": self.state}],
            "revision": [{"value": self.revision}],
            "created": [{"value": self.created}],
            "changed": [{"value": self.updated}],
        });
        if let Value::Object(told) = told {
            members.extend(told);
        }
        members
    }
}

impl Linked for ObjectAnswer {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(&self.record).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/virtual_objects/{}", self.id);
        links.own(&own);
        links.to("collection", "/virtual_objects");
        links.to("history", format!("{own}/history"));
        if let Some(product) = self.product {
            links.to("product", format!("/products/{product}"));
        }
        if let Some(hub) = self.hub {
            links.to("hub", format!("/hubs/{hub}"));
        }
        for part in &self.content.parts {
            links.to("item", format!("/virtual_objects/{part}"));
        }
        if self.state == ObjectState::Removed {
            return;
        }
        for file in &self.content.files {
            links.to("enclosure", format!("{own}/files/{}", file.name.percent_encoded()));
        }
        let may = |action| {
            self.hub.is_some_and(|hub| caller.may_in_hub(action, hub)) || caller.may_with(action, self.owner)
        };
        if may(Action::EditVirtualObject) {
            links.action("edit", &own);
            links.action("link-product", format!("{own}/product"));
            for file in &self.content.files {
                links.action("detach-file", format!("{own}/files/{}", file.name.percent_encoded()));
            }
        }
        if may(Action::EditVirtualObject) || may(Action::PublishVirtualObject) {
            links.action("set-state", format!("{own}/state"));
        }
        if may(Action::DeleteVirtualObject) {
            links.action("remove", &own);
        }
    }
}

/// A virtual object in one of its forms.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum InForm {
    Plain(Box<ObjectAnswer>),
    Node(NodeAnswer),
}

/// As the paper prints it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VirtualObjectNode")]
struct NodeAnswer {
    #[serde(skip)]
    plain: Box<ObjectAnswer>,
    #[serde(flatten)]
    members: Map<String, Value>,
}

impl InForm {
    fn new(view: ObjectView, node: bool) -> Self {
        let plain = Box::new(ObjectAnswer::of(view));
        if !node {
            return Self::Plain(plain);
        }
        let members = plain.node();
        Self::Node(NodeAnswer { plain, members })
    }
}

impl Linked for InForm {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        match self {
            Self::Plain(plain) => plain.tag(),
            Self::Node(node) => node.plain.tag(),
        }
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        match self {
            Self::Plain(plain) => plain.links(caller, links),
            Self::Node(node) => {
                node.plain.links(caller, links);
                links.to("type", "/virtual_objects");
            }
        }
    }
}

/// In which form an object is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Form {
    #[default]
    Plain,
    /// As the paper prints it.
    Node,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FormQuery {
    /// In which form: `plain`, or `node` as the paper prints it.
    #[serde(default)]
    form: Form,
}

/// A new object. In the paper's form it is shared at once.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "NewVirtualObject")]
struct ObjectCreation {
    #[schemars(flatten)]
    content: Content,
    /// The hub whose managers may change it too.
    hub: Option<HubId>,
    /// Whether it is submitted at once.
    #[schemars(default)]
    submit: bool,
    #[schemars(skip)]
    node: bool,
}

impl<'de> Deserialize<'de> for ObjectCreation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut members = Map::<String, Value>::deserialize(deserializer)?;
        if node::is_node(&members) {
            let content = node::read(&members).map_err(D::Error::custom)?;
            return Ok(Self { content, hub: None, submit: true, node: true });
        }
        let read = |value: Option<Value>| value.unwrap_or(Value::Null);
        let hub = serde_json::from_value(read(members.remove("hub"))).map_err(D::Error::custom)?;
        let submit: Option<bool> =
            serde_json::from_value(read(members.remove("submit"))).map_err(D::Error::custom)?;
        let content = serde_json::from_value(Value::Object(members)).map_err(D::Error::custom)?;
        Ok(Self { content, hub, submit: submit.unwrap_or(false), node: false })
    }
}

async fn create(api: Api, body: OrThing<ObjectCreation>) -> Answer<Created<InForm>> {
    let ObjectCreation { content, hub, submit, node } = match body {
        OrThing::Body(body) => body,
        OrThing::Thing(document) => {
            let content = object_things::content(&api, &document)?;
            ObjectCreation { content, hub: None, submit: false, node: false }
        }
    };
    let view = api.execute(CreateObject { content, hub, submit }).await?;
    let place = format!("/virtual_objects/{}", view.object.id);
    api.created(place, InForm::new(view, node)).await
}

/// Which objects, in which order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ObjectQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said. A page may have fewer, and still have a `next`.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
    /// Of this user.
    owner: Option<UserId>,
    /// Of this hub.
    hub: Option<HubId>,
    /// In this state: `published` if nothing is said, all of one's own.
    state: Option<ObjectState>,
    /// Of this kind.
    kind: Option<ObjectKind>,
    /// In this category.
    category: Option<Term>,
    /// In this domain.
    domain: Option<Slug>,
    /// With this tag.
    tag: Option<Term>,
    /// On this platform.
    platform: Option<Term>,
    /// Speaking this protocol.
    protocol: Option<Protocol>,
    /// By time, or, without filters, by the last change or by title.
    #[serde(default)]
    sort: Sort,
    /// In which form: `plain`, or `node` as the paper prints it.
    #[serde(default)]
    form: Form,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    #[default]
    Newest,
    Oldest,
    Changed,
    Title,
}

impl From<Sort> for ObjectOrder {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Newest => Self::Newest,
            Sort::Oldest => Self::Oldest,
            Sort::Changed => Self::Changed,
            Sort::Title => Self::Title,
        }
    }
}

async fn list(api: Api, InQuery(query): InQuery<ObjectQuery>) -> Answer<Keeping<Shown<Listed<InForm>>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let ObjectQuery {
        owner, hub, state, kind, category, domain, tag, platform, protocol, sort, form, ..
    } = query;
    let filter = ObjectFilter { owner, hub, state, kind, category, domain, tag, platform, protocol };
    let shelf = api.shelf(api.market().objects_revision().filter(|_| filter.is_public()));
    if let Some(known) = shelf.known() {
        return Ok(known);
    }
    let objects = api.market().objects(api.actor, &filter, sort.into(), &page).await;
    let Paged { items, next } = objects.map_err(|error| api.refused(error))?;
    let items = items.into_iter().map(|view| InForm::new(view, form == Form::Node)).collect();
    Ok(shelf.keep(api.list(Paged { items, next }).await?))
}

async fn show(
    api: Api,
    InPath(object): InPath<VirtualObjectId>,
    InQuery(query): InQuery<FormQuery>,
) -> Answer<Keeping<Shown<InForm>>> {
    let revision = api.market().objects_revision();
    let seen = api.market().seen_object(api.actor, object).await.map_err(|error| api.refused(error))?;
    api.observe(Interaction::Viewed, [Item::Object(object)]);
    let shelf = if seen.is_inside() { api.shelf_inside(revision) } else { api.shelf(revision) };
    if let Some(known) = shelf.known() {
        return Ok(known);
    }
    let view = api.market().with_content(seen).await.map_err(|error| api.refused(error))?;
    Ok(shelf.keep(api.show(InForm::new(view, query.form == Form::Node)).await?))
}

pub(super) async fn changed(api: &Api, view: ObjectView) -> Answer<Shown<ObjectAnswer>> {
    api.show(ObjectAnswer::of(view)).await
}

async fn replace(
    api: Api,
    InPath(object): InPath<VirtualObjectId>,
    body: OrThing<Content>,
) -> Answer<Shown<ObjectAnswer>> {
    let content = match body {
        OrThing::Body(content) => content,
        OrThing::Thing(document) => object_things::content(&api, &document)?,
    };
    let command = EditObject { object, content, expect: None };
    let view = api.execute_on::<VirtualObject, _>(object, command).await?;
    changed(&api, view).await
}

async fn amend(
    api: Api,
    InPath(object): InPath<VirtualObjectId>,
    Patch(patch): Patch<Map<String, Value>>,
) -> Answer<Shown<ObjectAnswer>> {
    let command = AmendObject { object, patch, expect: None };
    let view = api.execute_on::<VirtualObject, _>(object, command).await?;
    changed(&api, view).await
}

async fn remove(api: Api, InPath(object): InPath<VirtualObjectId>) -> Answer<Done> {
    let command = MoveObject { object, to: ObjectState::Removed, expect: None, remark: None };
    api.execute_on::<VirtualObject, _>(object, command).await?;
    Ok(Done)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VirtualObjectStateChange")]
struct StateChange {
    /// Where to. `submitted` becomes `published` if no review is needed.
    state: ObjectState,
    /// What a review says to the owner when it sends the object back to `draft`.
    remark: Option<Prose>,
}

async fn set_state(
    api: Api,
    InPath(object): InPath<VirtualObjectId>,
    Body(body): Body<StateChange>,
) -> Answer<Shown<ObjectAnswer>> {
    let command = MoveObject { object, to: body.state, expect: None, remark: body.remark };
    let view = api.execute_on::<VirtualObject, _>(object, command).await?;
    changed(&api, view).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProductLink {
    /// `null`: none.
    product: Option<ProductId>,
}

async fn link(
    api: Api,
    InPath(object): InPath<VirtualObjectId>,
    Body(body): Body<ProductLink>,
) -> Answer<Shown<ObjectAnswer>> {
    let command = LinkProduct { object, product: body.product, expect: None };
    let view = api.execute_on::<VirtualObject, _>(object, command).await?;
    changed(&api, view).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

impl Linked for ObjectVersion {
    fn links(&self, _: &Caller, links: &mut Links<'_>) {
        let object = format!("/virtual_objects/{}", self.object);
        links.own(format!("{object}/versions/{}", self.version));
        links.to("describes", object);
    }
}

async fn history(
    api: Api,
    InPath(object): InPath<VirtualObjectId>,
    InQuery(query): InQuery<HistoryQuery>,
) -> Answer<Shown<Listed<ObjectVersion>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let versions = api.market().object_history(api.actor, object, &page).await;
    api.list(versions.map_err(|error| api.refused(error))?).await
}

/// What an object said.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VirtualObjectVersion")]
struct VersionAnswer {
    object: VirtualObjectId,
    hash: ContentHash,
    /// Number, time and author, if it was asked for by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<ObjectVersion>,
    content: Content,
}

impl Linked for VersionAnswer {
    fn links(&self, _: &Caller, links: &mut Links<'_>) {
        let object = format!("/virtual_objects/{}", self.object);
        links.own(format!("{object}/versions/{}", self.hash));
        links.to("describes", object);
    }
}

/// A version by its number or hash.
pub(super) fn which_version(text: &str) -> Answer<WhichVersion> {
    match (text.parse(), text.parse()) {
        (Ok(number), _) => Ok(WhichVersion::Number(number)),
        (_, Ok(hash)) => Ok(WhichVersion::Hash(hash)),
        _ => Err(Problem::invalid("version", "a number or `sha256:` and 64 digits are expected")),
    }
}

async fn version(
    api: Api,
    InPath((object, which)): InPath<(VirtualObjectId, String)>,
) -> Answer<Shown<VersionAnswer>> {
    let which = which_version(&which)?;
    let found = api.market().object_version(api.actor, object, which).await;
    let VersionView { version, hash, content } = found.map_err(|error| api.refused(error))?;
    api.show(VersionAnswer { object, hash, version, content }).await
}
