//! What people see of objects, and what indexes are made of.

use serde::Serialize;

use super::super::queries::{declared, not_found, read_if};
use super::super::{MarketError, Marketplace, PageRequest, Paged, Refusal};
use super::{MISSING, ObjectView, lost};
use crate::access::{Action, Actor, Resource};
use crate::id::{HubId, ProductId, UserId, VirtualObjectId};
use crate::name::{Slug, Term};
use crate::store::{Cell, Cursor, Entity, Revision, Scan, StoreExt, limits};
use crate::virtual_object::{
    Content, ContentHash, Heading, Listing, ObjectContent, ObjectContentId, ObjectKind, ObjectState,
    ObjectVersion, ObjectVersionId, ProductObject, Protocol, VirtualObject,
};

/// Which objects a list has: those to which all of this applies.
///
/// Without `owner` and `hub` that is public objects, published ones unless `state` says deprecated. One's own objects
/// are seen in every state, as are all by who may see what is not public.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectFilter {
    /// Of this user.
    pub owner: Option<UserId>,
    /// Of this hub.
    pub hub: Option<HubId>,
    /// In this state.
    pub state: Option<ObjectState>,
    /// Of this kind.
    pub kind: Option<ObjectKind>,
    /// In this category.
    pub category: Option<Term>,
    /// In this domain.
    pub domain: Option<Slug>,
    /// With this tag.
    pub tag: Option<Term>,
    /// On this platform.
    pub platform: Option<Term>,
    /// Speaking this protocol.
    pub protocol: Option<Protocol>,
}

/// In which order a list is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectOrder {
    /// What became public, or was created, last comes first.
    #[default]
    Newest,
    /// What became public, or was created, first comes first.
    Oldest,
    /// What was changed last comes first. For public objects without other filters.
    Changed,
    /// By title, in the order of code points, without regard to case. For public objects without other filters.
    Title,
}

/// Which content of an object is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichVersion {
    /// The one with this number.
    Number(u32),
    /// The one with this hash.
    Hash(ContentHash),
}

/// A content that an object has or had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionView {
    /// Number, time and author; absent if it was asked for by its hash, which may stand for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<ObjectVersion>,
    /// Its hash.
    pub hash: ContentHash,
    /// What it says.
    pub content: Content,
}

/// As much of an object as somebody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenObject {
    /// The object as it is for those who may see what is not public, its public face for others.
    object: VirtualObject,
    /// Whether what is not public is seen.
    inside: bool,
}

impl SeenObject {
    /// Whether what is not public is seen.
    pub fn is_inside(&self) -> bool {
        self.inside
    }
}

/// How many lines a list looks at for one page. A page for which that was not enough has fewer items than were asked
/// for, and still says where the next one begins: so no page costs more than this, whatever is filtered.
const MOST_LOOKED_AT: usize = 500;

/// What a list goes through: objects, or lines that name some.
enum Source {
    Objects(Scan),
    Lines(Scan),
}

impl ObjectFilter {
    /// Whether this is a part of the list of public objects, which is the same for everybody.
    pub fn is_public(&self) -> bool {
        let public = matches!(self.state, None | Some(ObjectState::Published | ObjectState::Deprecated));
        self.owner.is_none() && self.hub.is_none() && public
    }

    fn headings(&self) -> Vec<Heading> {
        let mut headings = Vec::new();
        headings.extend(self.tag.clone().map(Heading::Tag));
        headings.extend(self.platform.clone().map(Heading::Platform));
        headings.extend(self.protocol.clone().map(Heading::Protocol));
        headings
    }

    fn admits(&self, seen: &VirtualObject, content: &Content) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        fits(self.owner.as_ref(), Some(&seen.owner))
            && fits(self.hub.as_ref(), seen.hub.as_ref())
            && fits(self.state.as_ref(), Some(&seen.state))
            && fits(self.kind.as_ref(), Some(&content.kind))
            && fits(self.category.as_ref(), content.category.as_ref())
            && fits(self.domain.as_ref(), content.domain.as_ref())
            && self.tag.as_ref().is_none_or(|tag| content.tags.contains(tag))
            && self.platform.as_ref().is_none_or(|platform| content.platforms.contains(platform))
            && self.protocol.as_ref().is_none_or(|protocol| content.protocols.contains(protocol))
    }

    /// The scan that has the fewest lines, by the nature of what is asked.
    fn public(&self, state: ObjectState, order: ObjectOrder) -> Result<Source, MarketError> {
        let objects = VirtualObject::collection();
        let listed = || state.as_str().into();
        let (index, second) = if let Some(owner) = self.owner {
            ("listed_owner", Some(owner.to_string()))
        } else if let Some(heading) = self.headings().first() {
            let equal = vec![heading.to_string().into(), listed()];
            let scan = declared(Scan::index(Listing::collection(), "by_heading", equal))?;
            return Ok(Source::Lines(by_time(scan, order)?));
        } else if let Some(category) = &self.category {
            ("listed_category", Some(category.as_str().to_owned()))
        } else if let Some(domain) = &self.domain {
            ("listed_domain", Some(domain.as_str().to_owned()))
        } else if let Some(kind) = self.kind {
            ("listed_kind", Some(kind.as_str().to_owned()))
        } else {
            let scan = |index| declared(Scan::index(objects, index, vec![listed()]));
            return Ok(Source::Objects(match order {
                ObjectOrder::Changed => scan("listed_changed")?.backward(),
                ObjectOrder::Title => scan("listed_title")?,
                ObjectOrder::Newest | ObjectOrder::Oldest => by_time(scan("listed_since")?, order)?,
            }));
        };
        let mut equal = vec![listed()];
        equal.extend(second.map(Into::into));
        let scan = declared(Scan::index(objects, index, equal))?;
        Ok(Source::Objects(by_time(scan, order)?))
    }
}

fn by_time(scan: Scan, order: ObjectOrder) -> Result<Scan, MarketError> {
    match order {
        ObjectOrder::Newest => Ok(scan.backward()),
        ObjectOrder::Oldest => Ok(scan),
        ObjectOrder::Changed | ObjectOrder::Title => {
            let reason =
                "this order is for the list of all public objects: search has it for parts of the list";
            Err(Refusal::invalid("sort", reason).into())
        }
    }
}

fn after(scan: Scan, cursor: Option<Cursor>) -> Result<Scan, MarketError> {
    match cursor {
        Some(cursor) => scan.after(cursor).map_err(|error| Refusal::invalid("cursor", error).into()),
        None => Ok(scan),
    }
}

impl Marketplace {
    /// Whether the actor sees what is not public of an object.
    async fn sees_inside(&self, actor: Actor, object: &VirtualObject) -> Result<bool, MarketError> {
        if actor == Actor::Anonymous {
            return Ok(false);
        }
        let hub_role = match object.hub {
            Some(hub) => self.hub_role(actor, hub).await?,
            None => None,
        };
        let resource = Resource { owner: Some(object.owner), hub_role };
        self.may(actor, Action::ViewVirtualObject, &resource).await
    }

    async fn may(&self, actor: Actor, action: Action, resource: &Resource) -> Result<bool, MarketError> {
        match self.authorize(actor, action, resource).await {
            Ok(()) => Ok(true),
            Err(MarketError::Refused(refusal)) if refusal.is_denial() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// An object as the actor sees it, without what it says.
    pub async fn seen_object(&self, actor: Actor, id: VirtualObjectId) -> Result<SeenObject, MarketError> {
        let object: VirtualObject = self.entity(&id, "virtual object").await?;
        if self.sees_inside(actor, &object).await? {
            return Ok(SeenObject { object, inside: true });
        }
        object.public_face().map(|object| SeenObject { object, inside: false }).ok_or_else(|| MISSING.into())
    }

    /// The contents that these objects name, in their order.
    async fn with_contents(&self, objects: Vec<VirtualObject>) -> Result<Vec<ObjectView>, MarketError> {
        let mut views = Vec::with_capacity(objects.len());
        let ids: Vec<_> = objects
            .iter()
            .map(|object| ObjectContentId { object: object.id, hash: object.content })
            .collect();
        let mut contents = Vec::with_capacity(ids.len());
        for ids in ids.chunks(limits::READ_KEYS) {
            let keys = ids.iter().map(ObjectContent::key).collect::<Result<Vec<_>, _>>()?;
            for ((key, id), cell) in keys.iter().zip(ids).zip(self.store.read(&keys).await?) {
                let Some(Cell::Record { body, .. }) = cell else { return Err(lost(id).into()) };
                contents.push(ObjectContent::from_body(key, &body)?.content);
            }
        }
        for (object, content) in objects.into_iter().zip(contents) {
            views.push(ObjectView { object, content });
        }
        Ok(views)
    }

    /// What somebody sees of an object, with what it says. The same for all who see as much of it, as long as
    /// [`objects_revision`](Self::objects_revision) is the same.
    pub async fn with_content(&self, seen: SeenObject) -> Result<ObjectView, MarketError> {
        let object = seen.object;
        let id = ObjectContentId { object: object.id, hash: object.content };
        let stored = self.store.get::<ObjectContent>(&id).await?.ok_or_else(|| lost(&id))?;
        Ok(ObjectView { object, content: stored.entity.content })
    }

    /// An object: with its newest content for those who may see what is not public, with its public one for others.
    /// To others, what has nothing public does not exist.
    pub async fn object(&self, actor: Actor, id: VirtualObjectId) -> Result<ObjectView, MarketError> {
        self.with_content(self.seen_object(actor, id).await?).await
    }

    /// The contents that an object has had, newest first. Others see those that were public, while something still is.
    pub async fn object_history(
        &self,
        actor: Actor,
        id: VirtualObjectId,
        page: &PageRequest,
    ) -> Result<Paged<ObjectVersion>, MarketError> {
        let inside = self.seen_object(actor, id).await?.inside;
        let scan = Scan::prefix(ObjectVersion::collection(), format!("{id}:")).backward();
        let mut from = page.after.clone();
        let mut items = Vec::new();
        let mut looked_at = 0;
        loop {
            let wanted = page.limit.clamp(1, limits::PAGE_ROWS) - items.len();
            let scan = after(scan.clone().limit(wanted), from)?;
            let (versions, next) = self.store.list::<ObjectVersion>(&scan).await?;
            looked_at += versions.len();
            items.extend(versions.into_iter().filter(|version| inside || version.published.is_some()));
            if next.is_none() || items.len() >= page.limit || looked_at >= MOST_LOOKED_AT {
                return Ok(Paged { items, next });
            }
            from = next;
        }
    }

    /// A content that an object has or had.
    pub async fn object_version(
        &self,
        actor: Actor,
        id: VirtualObjectId,
        which: WhichVersion,
    ) -> Result<VersionView, MarketError> {
        let inside = self.seen_object(actor, id).await?.inside;
        let missing = || not_found("version");
        let version = match which {
            WhichVersion::Number(version) => {
                let number = ObjectVersionId { object: id, version };
                Some(self.store.get::<ObjectVersion>(&number).await?.ok_or_else(missing)?.entity)
            }
            WhichVersion::Hash(_) => None,
        };
        let hash = match (&version, which) {
            (Some(version), _) => version.content,
            (None, WhichVersion::Hash(hash)) => hash,
            (None, WhichVersion::Number(_)) => return Err(missing()),
        };
        let stored = ObjectContentId { object: id, hash };
        let stored = self.store.get::<ObjectContent>(&stored).await?.ok_or_else(missing)?.entity;
        let unpublished = version.as_ref().map_or(!stored.published, |version| version.published.is_none());
        if unpublished && !inside {
            return Err(missing());
        }
        Ok(VersionView { version, hash, content: stored.content })
    }

    /// What all objects, and all lists of public objects, were made of, if the store can
    /// [tell](crate::store::Store::revision): they are the same as long as it is.
    pub fn objects_revision(&self) -> Option<Revision> {
        let collections = [VirtualObject::collection(), ObjectContent::collection(), Listing::collection()];
        self.store.revision(&collections)
    }

    /// A list of objects; see [`ObjectFilter`]. A page looks at a bounded number of objects: it may have fewer items
    /// than were asked for, and there are more as long as there is a `next`.
    pub async fn objects(
        &self,
        actor: Actor,
        filter: &ObjectFilter,
        order: ObjectOrder,
        page: &PageRequest,
    ) -> Result<Paged<ObjectView>, MarketError> {
        let of_owner = Resource { owner: filter.owner, hub_role: None };
        let inside = actor != Actor::Anonymous
            && match (filter.hub, filter.owner, filter.state) {
                (Some(hub), _, _) => {
                    let hub_role = self.hub_role(actor, hub).await?;
                    let resource = Resource { hub_role, ..of_owner };
                    self.may(actor, Action::ViewVirtualObject, &resource).await?
                }
                (None, Some(_), _) => self.may(actor, Action::ViewVirtualObject, &of_owner).await?,
                (None, None, Some(ObjectState::Published | ObjectState::Deprecated) | None) => false,
                (None, None, Some(_)) => {
                    self.authorize(actor, Action::ViewVirtualObject, &Resource::MARKETPLACE).await?;
                    true
                }
            };
        let objects = VirtualObject::collection();
        let source = match (filter.hub, filter.owner, filter.state) {
            (Some(hub), _, _) => {
                let scan = declared(Scan::index(objects, "by_hub", vec![hub.to_string().into()]))?;
                Source::Objects(by_time(scan, order)?)
            }
            (None, Some(owner), _) if inside => {
                let scan = declared(Scan::index(objects, "by_owner", vec![owner.to_string().into()]))?;
                Source::Objects(by_time(scan, order)?)
            }
            (None, None, Some(state)) if inside => {
                let scan = declared(Scan::index(objects, "by_state", vec![state.as_str().into()]))?;
                Source::Objects(by_time(scan, order)?)
            }
            (_, _, None | Some(ObjectState::Published)) => filter.public(ObjectState::Published, order)?,
            (_, _, Some(ObjectState::Deprecated)) => filter.public(ObjectState::Deprecated, order)?,
            // Nothing in another state is public: nothing to see, for this actor.
            (_, _, Some(_)) => return Ok(Paged { items: Vec::new(), next: None }),
        };
        self.list_objects(source, filter, inside, page).await
    }

    async fn list_objects(
        &self,
        source: Source,
        filter: &ObjectFilter,
        inside: bool,
        page: &PageRequest,
    ) -> Result<Paged<ObjectView>, MarketError> {
        let limit = page.limit.clamp(1, limits::PAGE_ROWS);
        let mut from = page.after.clone();
        let mut items = Vec::new();
        let mut looked_at = 0;
        loop {
            let wanted = limit - items.len();
            let (found, next) = match &source {
                Source::Objects(scan) => {
                    self.store.list::<VirtualObject>(&after(scan.clone().limit(wanted), from)?).await?
                }
                Source::Lines(scan) => {
                    let scan = after(scan.clone().limit(wanted), from)?;
                    let (lines, next) = self.store.list::<Listing>(&scan).await?;
                    (self.named(&lines).await?, next)
                }
            };
            looked_at += wanted;
            let seen =
                found.into_iter().filter_map(|found| if inside { Some(found) } else { found.public_face() });
            let views = self.with_contents(seen.collect()).await?;
            items.extend(views.into_iter().filter(|view| filter.admits(&view.object, &view.content)));
            if next.is_none() || items.len() >= limit || looked_at >= MOST_LOOKED_AT {
                return Ok(Paged { items, next });
            }
            from = next;
        }
    }

    /// The objects that these lines name.
    async fn named(&self, lines: &[Listing]) -> Result<Vec<VirtualObject>, MarketError> {
        let keys =
            lines.iter().map(|line| VirtualObject::key(&line.object)).collect::<Result<Vec<_>, _>>()?;
        let mut objects = Vec::with_capacity(keys.len());
        if keys.is_empty() {
            return Ok(objects);
        }
        for (key, cell) in keys.iter().zip(self.store.read(&keys).await?) {
            if let Some(Cell::Record { body, .. }) = cell {
                objects.push(VirtualObject::from_body(key, &body)?);
            }
        }
        Ok(objects)
    }

    /// The object that a product delivers the data of, as the actor sees it.
    pub async fn object_of_product(
        &self,
        actor: Actor,
        product: ProductId,
    ) -> Result<ObjectView, MarketError> {
        let link: ProductObject = self.entity(&product, "virtual object").await?;
        self.object(actor, link.object).await
    }

    /// An object as an index of what is public has it; `None` if nothing of it is public.
    pub async fn public_object(&self, id: VirtualObjectId) -> Result<Option<ObjectView>, MarketError> {
        let found = self.store.get::<VirtualObject>(&id).await?;
        match found.and_then(|found| found.entity.public_face()) {
            Some(object) => self.with_content(SeenObject { object, inside: false }).await.map(Some),
            None => Ok(None),
        }
    }

    /// As [`public_object`](Self::public_object), of each of these, in their order.
    pub async fn public_objects_of(
        &self,
        ids: &[VirtualObjectId],
    ) -> Result<Vec<Option<ObjectView>>, MarketError> {
        let mut faces = Vec::with_capacity(ids.len());
        for ids in ids.chunks(limits::READ_KEYS) {
            let keys = ids.iter().map(VirtualObject::key).collect::<Result<Vec<_>, _>>()?;
            for (key, cell) in keys.iter().zip(self.store.read(&keys).await?) {
                faces.push(read_if::<VirtualObject>(key, cell)?.and_then(|object| object.public_face()));
            }
        }
        let mut views = self.with_contents(faces.iter().flatten().cloned().collect()).await?.into_iter();
        Ok(faces.into_iter().map(|face| face.and_then(|_| views.next())).collect())
    }

    /// All public objects, by id: for who builds an index. A page may have fewer items than were asked for.
    pub async fn public_objects(&self, page: &PageRequest) -> Result<Paged<ObjectView>, MarketError> {
        let scan = Scan::ids(VirtualObject::collection()).limit(page.limit.min(limits::PAGE_ROWS));
        let scan = after(scan, page.after.clone())?;
        let (found, next) = self.store.list::<VirtualObject>(&scan).await?;
        let public = found.iter().filter_map(VirtualObject::public_face).collect();
        Ok(Paged { items: self.with_contents(public).await?, next })
    }
}
