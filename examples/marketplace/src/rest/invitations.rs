//! Invitations to open an account.

use std::collections::BTreeSet;

use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use i3_core::access::Role;
use i3_core::id::InvitationId;
use i3_core::invitation::Invitation;
use i3_core::market::{Invite, Paged, WithdrawInvitation};
use i3_core::name::Label;
use serde::{Deserialize, Serialize};

use super::request::{Answer, Api, Body, InPath, InQuery, PageQuery};
use super::{AppState, created};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/invitations", get(list).post(invite))
        .route("/invitations/{invitation}", delete(withdraw).get(show))
}

/// How long an invitation is good if nothing is said.
const LIFETIME: u64 = 7 * 24 * 60 * 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    label: Label,
    #[serde(default)]
    roles: BTreeSet<Role>,
    uses: Option<u32>,
    lifetime_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Invited<'a> {
    /// What the guest has to present: shown here, and made again for no one else.
    token: &'a str,
    #[serde(flatten)]
    invitation: Invitation,
}

async fn invite(api: Api, Body(body): Body<Wanted>) -> Answer<Response> {
    let command = Invite {
        label: body.label,
        roles: body.roles,
        uses: body.uses.unwrap_or(1),
        lifetime_seconds: body.lifetime_seconds.unwrap_or(LIFETIME),
    };
    let invitation = api.execute(command).await?;
    let text = api.access().leaves.invitation(invitation.id);
    let place = format!("/api/v1/invitations/{}", invitation.id);
    Ok(created(place, Json(Invited { token: text.expose(), invitation })))
}

async fn list(api: Api, InQuery(page): InQuery<PageQuery>) -> Answer<Json<Paged<Invitation>>> {
    let invitations = api.market().invitations(api.actor, &page.request()?).await;
    invitations.map(Json).map_err(|error| api.refused(error))
}

async fn show(api: Api, InPath(invitation): InPath<InvitationId>) -> Answer<Json<Invitation>> {
    api.market().invitation(api.actor, invitation).await.map(Json).map_err(|error| api.refused(error))
}

async fn withdraw(api: Api, InPath(invitation): InPath<InvitationId>) -> Answer<Json<Invitation>> {
    api.execute(WithdrawInvitation { invitation }).await.map(Json)
}
