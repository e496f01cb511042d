//! Moving objects from state to state.

use serde::{Deserialize, Serialize};

use super::change::{Change, managed, wrong_state};
use super::commands::{may_publish, unlink};
use super::files::release_all;
use super::{ObjectView, Refusal};
use crate::access::Action;
use crate::id::VirtualObjectId;
use crate::market::{Command, Context, Decided, Publishing};
use crate::name::Prose;
use crate::store::{Halt, Tx};
use crate::virtual_object::{Content, ObjectState, VirtualObject};

/// Moves an object to another state, as far as its present one and the actor's rights allow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoveObject {
    /// Which.
    pub object: VirtualObjectId,
    /// Where to. [`ObjectState::Submitted`] becomes [`ObjectState::Published`] if the actor needs no review.
    pub to: ObjectState,
    /// The revision that the actor saw; whichever if absent. Who reviews gives it, so that nothing is published
    /// unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
    /// What the review says to the owner, when it sends the object back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<Prose>,
}

impl Command for MoveObject {
    type Done = ObjectView;
    const NAME: &'static str = "move_object";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ObjectView> {
        let actions = self.actions(context)?;
        let mut change = managed(context, self.object, actions, self.expect)?;
        if self.remark.is_some()
            && (change.object.state, self.to) != (ObjectState::Submitted, ObjectState::Draft)
        {
            let reason = "only what is sent back from a review has one";
            return Err(Halt::Refused(Refusal::invalid("remark", reason)));
        }
        let content = change.content(context)?;
        match (change.object.state, self.to) {
            (ObjectState::Draft, ObjectState::Submitted) => submit(&mut change, context, &content)?,
            (ObjectState::Draft | ObjectState::Submitted, ObjectState::Published) => {
                Change::check_parts(context, &content)?;
                change.publish(context, &content)?;
            }
            (ObjectState::Deprecated, ObjectState::Published) => {
                change.object.state = ObjectState::Published;
            }
            (ObjectState::Published, ObjectState::Deprecated) => {
                change.object.state = ObjectState::Deprecated;
            }
            (ObjectState::Submitted, ObjectState::Draft) => {
                change.object.state = ObjectState::Draft;
                change.object.remark.clone_from(&self.remark);
            }
            (state, ObjectState::Draft) if state != ObjectState::Draft || change.object.public.is_some() => {
                change.object.state = ObjectState::Draft;
                change.object.public = None;
            }
            (_, ObjectState::Removed) => {
                unlink(&mut change, context)?;
                release_all(&mut change, context)?;
                change.object.state = ObjectState::Removed;
                change.object.public = None;
                change.object.remark = None;
            }
            _ => return Err(wrong_state(&change.object)),
        }
        change.finish(context, content)
    }

    fn keep(done: &ObjectView) -> serde_json::Result<serde_json::Value> {
        done.keep()
    }

    fn answer_again(kept: serde_json::Value, tx: &mut Tx<'_, Refusal>) -> Decided<ObjectView> {
        ObjectView::again(kept, tx)
    }
}

impl MoveObject {
    /// Which permissions allow it, each alone.
    fn actions(&self, context: &mut Context<'_, '_>) -> Decided<&'static [Action]> {
        const EDIT: &[Action] = &[Action::EditVirtualObject];
        const EITHER: &[Action] = &[Action::EditVirtualObject, Action::PublishVirtualObject];
        Ok(match self.to {
            ObjectState::Submitted | ObjectState::Deprecated => EDIT,
            ObjectState::Draft => EITHER,
            ObjectState::Published if context.settings().publishing == Publishing::Direct => EITHER,
            // What is only deprecated has been through a review.
            ObjectState::Published => match context.tx.get::<VirtualObject>(&self.object)? {
                Some(object) if object.state == ObjectState::Deprecated => EITHER,
                _ => &[Action::PublishVirtualObject],
            },
            ObjectState::Removed => &[Action::DeleteVirtualObject],
        })
    }
}

/// Asks for the newest content to be public: it is at once if no review is needed.
pub(super) fn submit(change: &mut Change, context: &mut Context<'_, '_>, content: &Content) -> Decided<()> {
    content.check_complete().map_err(|error| Halt::Refused(error.into()))?;
    Change::check_parts(context, content)?;
    if may_publish(&change.object, context)? {
        return change.publish(context, content);
    }
    change.object.state = ObjectState::Submitted;
    change.object.remark = None;
    Ok(())
}
