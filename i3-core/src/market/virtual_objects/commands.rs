//! Creating objects, changing what they say, and linking them to products.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::change::{Change, managed, wrong_state};
use super::moves::submit;
use super::{ObjectView, Refusal};
use crate::access::{Action, Resource};
use crate::id::{HubId, ProductId, VirtualObjectId};
use crate::market::{Command, Context, Decided, Publishing};
use crate::product::{Product, ProductState};
use crate::store::{Halt, Tx};
use crate::virtual_object::{Content, File, ObjectState, ProductObject, VirtualObject};

/// Creates an object; the actor becomes its owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateObject {
    /// What it says. Without files, which come later.
    pub content: Content,
    /// The hub whose managers may change it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubId>,
    /// Whether it is submitted at once, as if [moved](super::MoveObject) to submitted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub submit: bool,
}

impl Command for CreateObject {
    type Done = ObjectView;
    const NAME: &'static str = "create_object";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ObjectView> {
        context.authorize(Action::CreateVirtualObject, &Resource::MARKETPLACE)?;
        if let Some(hub) = self.hub {
            context.hub_for(hub, Action::EditVirtualObject)?;
        }
        let Some(owner) = context.user() else {
            let reason = "a virtual object is created by a user, its owner";
            return Err(Halt::Refused(Refusal::invalid("actor", reason)));
        };
        self.content.check().map_err(|error| Halt::Refused(error.into()))?;
        check_files(&[], &self.content.files)?;
        let now = context.tx.now();
        let object = VirtualObject {
            id: context.tx.fresh_id()?,
            owner,
            hub: self.hub,
            product: None,
            state: ObjectState::Draft,
            revision: 1,
            version: 1,
            content: self.content.hash(),
            public: None,
            level: 0,
            settled: false,
            remark: None,
            kept_files: std::collections::BTreeMap::new(),
            created: now,
            updated: now,
        };
        let mut change = Change::create(context, object, &self.content)?;
        if self.submit {
            submit(&mut change, context, &self.content)?;
        }
        change.conclude(context, self.content.clone())
    }

    fn keep(done: &ObjectView) -> serde_json::Result<serde_json::Value> {
        done.keep()
    }

    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<ObjectView> {
        ObjectView::again(kept, tx)
    }
}

/// A content names files that were attached; it may leave some out, rename them, and say otherwise what they are, but
/// it attaches none.
fn check_files(attached: &[File], files: &[File]) -> Decided<()> {
    let known = |file: &File| {
        attached
            .iter()
            .any(|one| (one.sha256, one.bytes, one.media_type) == (file.sha256, file.bytes, file.media_type))
    };
    match files.iter().find(|file| !known(file)) {
        Some(file) => {
            let reason = format!("`{}` is not attached to the object", file.name);
            Err(Halt::Refused(Refusal::Invalid { field: "files", reason }))
        }
        None => Ok(()),
    }
}

/// Gives an object another content, in place of all that it said. The same content again changes nothing.
///
/// What is published is changed for everybody at once, or, if there is a review and the actor may not publish, becomes
/// a draft beside the public version. What awaits review becomes a draft again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EditObject {
    /// Which.
    pub object: VirtualObjectId,
    /// All that it says from now on.
    pub content: Content,
    /// The revision that the actor saw; whichever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

impl Command for EditObject {
    type Done = ObjectView;
    const NAME: &'static str = "edit_object";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ObjectView> {
        let change = managed(context, self.object, &[Action::EditVirtualObject], self.expect)?;
        self.content.check().map_err(|error| Halt::Refused(error.into()))?;
        let before = change.content(context)?;
        check_files(&before.files, &self.content.files)?;
        revise(change, context, self.content.clone())
    }

    fn keep(done: &ObjectView) -> serde_json::Result<serde_json::Value> {
        done.keep()
    }

    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<ObjectView> {
        ObjectView::again(kept, tx)
    }
}

/// Changes some of what an object says: a merge patch (RFC 7396) of its newest content, in the content's JSON. With
/// regard to all else it is as [`EditObject`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AmendObject {
    /// Which.
    pub object: VirtualObjectId,
    /// What changes: a member that is null goes away, an object is merged, all else takes the place of what there was.
    pub patch: Map<String, Json>,
    /// The revision that the actor saw; whichever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

impl Command for AmendObject {
    type Done = ObjectView;
    const NAME: &'static str = "amend_object";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ObjectView> {
        let change = managed(context, self.object, &[Action::EditVirtualObject], self.expect)?;
        let before = change.content(context)?;
        let content = before.amended(&self.patch).map_err(|error| Halt::Refused(error.into()))?;
        content.check().map_err(|error| Halt::Refused(error.into()))?;
        check_files(&before.files, &content.files)?;
        revise(change, context, content)
    }

    fn keep(done: &ObjectView) -> serde_json::Result<serde_json::Value> {
        done.keep()
    }

    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<ObjectView> {
        ObjectView::again(kept, tx)
    }
}

/// Gives an object another content, whoever may see it then.
pub(super) fn revise(
    mut change: Change,
    context: &mut Context<'_, '_>,
    content: Content,
) -> Decided<ObjectView> {
    if change.object.state == ObjectState::Deprecated {
        return Err(wrong_state(&change.object));
    }
    if content.hash() == change.object.content {
        return change.finish(context, content);
    }
    change.rewrite(context, &content)?;
    match change.object.state {
        ObjectState::Published if may_publish(&change.object, context)? => {
            change.publish(context, &content)?;
        }
        _ => change.object.state = ObjectState::Draft,
    }
    change.finish(context, content)
}

/// Whether what the actor writes is public without a review.
pub(super) fn may_publish(object: &VirtualObject, context: &mut Context<'_, '_>) -> Decided<bool> {
    if context.settings().publishing == Publishing::Direct {
        return Ok(true);
    }
    let hub_role = match object.hub {
        Some(hub) => context.membership(hub)?.map(|membership| membership.role),
        None => None,
    };
    let resource = Resource { owner: Some(object.owner), hub_role };
    match context.authorize(Action::PublishVirtualObject, &resource) {
        Err(Halt::Refused(_)) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Links an object to the product that delivers its data, or to none. One product has one object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkProduct {
    /// Which.
    pub object: VirtualObjectId,
    /// The product, of a hub whose products the actor manages.
    pub product: Option<ProductId>,
    /// The revision that the actor saw; whichever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

impl Command for LinkProduct {
    type Done = ObjectView;
    const NAME: &'static str = "link_product";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ObjectView> {
        let mut change = managed(context, self.object, &[Action::EditVirtualObject], self.expect)?;
        if let Some(product) = self.product {
            let product: Product = context.tx.need(&product, Refusal::NotFound { what: "product" })?;
            context.hub_for(product.hub, Action::ManageProducts)?;
            if product.state == ProductState::Retired {
                let state = product.state.as_str();
                return Err(Halt::Refused(Refusal::WrongState { what: "product", state }));
            }
            match context.tx.get::<ProductObject>(&product.id)? {
                Some(link) if link.object == self.object => {}
                Some(_) => return Err(Halt::Refused(Refusal::Taken { what: "product's virtual object" })),
                None => context.tx.create(&ProductObject { product: product.id, object: self.object })?,
            }
        }
        if change.object.product != self.product {
            unlink(&mut change, context)?;
            change.object.product = self.product;
        }
        let content = change.content(context)?;
        change.finish(context, content)
    }

    fn keep(done: &ObjectView) -> serde_json::Result<serde_json::Value> {
        done.keep()
    }

    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<ObjectView> {
        ObjectView::again(kept, tx)
    }
}

/// Ends the link to a product, if there is one.
pub(super) fn unlink(change: &mut Change, context: &mut Context<'_, '_>) -> Decided<()> {
    if let Some(product) = change.object.product.take()
        && context.tx.get::<ProductObject>(&product)?.is_some()
    {
        context.tx.remove::<ProductObject>(&product)?;
    }
    Ok(())
}
