//! Invitations to open an account.

use std::collections::BTreeSet;

use i3_core::access::Action;
use i3_core::id::InvitationId;
use i3_core::invitation::Invitation;
use i3_core::market::{Caller, Invite, RecordTag, TimeOrder, WithdrawInvitation};
use i3_core::name::Label;
use i3_core::role::RoleName;
use i3_core::store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, InPath, InQuery, page_request};
use super::route::{Routes, about};

pub(super) fn routes() -> Routes {
    let manages = |id, summary| about(id, summary).permission(Action::ManageUsers);
    Routes::new()
        .get("/invitations", list, manages("list_invitations", "All invitations"))
        .post("/invitations", invite, manages("invite", "Gives leave to open accounts"))
        .get("/invitations/{invitation}", show, manages("show_invitation", "An invitation"))
        .delete(
            "/invitations/{invitation}",
            withdraw,
            manages("withdraw_invitation", "Takes an invitation back").relation("delete"),
        )
}

impl Linked for Invitation {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, _: &Caller, links: &mut Links<'_>) {
        let own = format!("/invitations/{}", self.id);
        links.own(&own);
        links.action("delete", own);
    }
}

impl Linked for Invited {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        self.invitation.tag()
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        self.invitation.links(caller, links);
    }
}

/// How long an invitation is good if nothing is said.
const LIFETIME: u64 = 7 * 24 * 60 * 60;

/// Who shall be invited.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewInvitation")]
struct Wanted {
    label: Label,
    #[serde(default)]
    roles: BTreeSet<RoleName>,
    uses: Option<u32>,
    lifetime_seconds: Option<u64>,
}

/// An invitation with its text.
#[derive(Serialize, JsonSchema)]
struct Invited {
    /// What the guest has to present: shown here, and made again for no one else.
    token: String,
    #[serde(flatten)]
    invitation: Invitation,
}

async fn invite(api: Api, Body(body): Body<Wanted>) -> Answer<Created<Invited>> {
    let command = Invite {
        label: body.label,
        roles: body.roles,
        uses: body.uses.unwrap_or(1),
        lifetime_seconds: body.lifetime_seconds.unwrap_or(LIFETIME),
    };
    let invitation = api.execute(command).await?;
    let text = api.access().leaves.invitation(invitation.id);
    let place = format!("/invitations/{}", invitation.id);
    api.created(place, Invited { token: text.expose().to_owned(), invitation }).await
}

/// Which invitations are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InvitationQuery {
    /// Those that an account can be opened with now, or those that it cannot: used up, withdrawn, or over.
    good: Option<bool>,
    /// In which order they were given: newest first if nothing is said.
    #[serde(default)]
    sort: TimeOrder,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn list(api: Api, InQuery(query): InQuery<InvitationQuery>) -> Answer<Shown<Listed<Invitation>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let invitations = api.market().invitations(api.actor, query.good, query.sort, &page).await;
    api.list(invitations.map_err(|error| api.refused(error))?).await
}

async fn show(api: Api, InPath(invitation): InPath<InvitationId>) -> Answer<Shown<Invitation>> {
    let found = api.market().invitation(api.actor, invitation).await;
    api.show(found.map_err(|error| api.refused(error))?).await
}

async fn withdraw(api: Api, InPath(invitation): InPath<InvitationId>) -> Answer<Shown<Invitation>> {
    let command = WithdrawInvitation { invitation };
    api.show(api.execute_on::<Invitation, _>(invitation, command).await?).await
}
