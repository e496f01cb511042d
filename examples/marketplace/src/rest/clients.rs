//! One's own `OAuth2` clients.

use std::collections::BTreeSet;

use i3_core::access::Action;
use i3_core::id::ClientId;
use i3_core::market::{
    Caller, ClientFilter, DescribeClient, RecordTag, Refusal, RegisterClient, RemoveClient,
    ReplaceClientSecret, SetClientState, TimeOrder,
};
use i3_core::name::Label;
use i3_core::oauth::{Client, ClientKind, ClientState, RedirectUri, Scope};
use i3_core::store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, Edit, InPath, InQuery, Patch, Patched, page_request};
use super::route::{Done, Routes, about};

pub(super) fn routes() -> Routes {
    let manages = |id, summary| about(id, summary).in_person().permission(Action::ManageClient);
    Routes::new()
        .post(
            "/clients",
            register,
            about("register_client", "Registers an OAuth2 client")
                .in_person()
                .permission(Action::RegisterClient),
        )
        .get("/clients", list, manages("list_clients", "One's own OAuth2 clients"))
        .get("/clients/{client}", show, manages("show_client", "An OAuth2 client"))
        .put(
            "/clients/{client}",
            describe,
            manages("describe_client", "Changes a client's label, scopes and redirect URIs")
                .relation("describe"),
        )
        .patch(
            "/clients/{client}",
            edit,
            manages("edit_client", "Changes some of a client's label, scopes and redirect URIs")
                .relation("describe"),
        )
        .delete("/clients/{client}", remove, manages("remove_client", "Removes a client").relation("delete"))
        .post(
            "/clients/{client}/secret",
            replace_secret,
            manages("replace_client_secret", "Gives a client another secret").relation("replace-secret"),
        )
        .put(
            "/clients/{client}/state",
            set_state,
            manages("set_client_state", "Switches a client off or on").relation("set-state"),
        )
}

impl Linked for Client {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(self).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/clients/{}", self.id);
        links.own(&own);
        if caller.may_with(Action::ManageClient, self.owner) {
            links.action("describe", &own);
            links.action("delete", &own);
            links.action("set-state", format!("{own}/state"));
            if self.kind != ClientKind::Public {
                links.action("replace-secret", format!("{own}/secret"));
            }
        }
    }
}

impl Linked for WithSecret {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        self.client.tag()
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        self.client.links(caller, links);
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClientRegistration {
    label: Label,
    kind: ClientKind,
    scopes: BTreeSet<Scope>,
    #[serde(default)]
    redirect_uris: BTreeSet<RedirectUri>,
}

/// A client with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ClientWithSecret")]
struct WithSecret {
    #[serde(flatten)]
    client: Client,
    /// Shown here and never again; absent for public clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WithSecret {
    fn of(api: &Api, client: Client) -> Self {
        let secret = api.access().oauth.secrets().of(&client);
        Self { client, secret: secret.map(|secret| secret.expose().to_owned()) }
    }
}

fn check(api: &Api, scopes: &BTreeSet<Scope>) -> Answer<()> {
    match api.access().oauth.settings().unknown(scopes) {
        Some(unknown) => Err(api.refused(Refusal::UnknownScope { scope: unknown.to_string() }.into())),
        None => Ok(()),
    }
}

async fn register(api: Api, Body(body): Body<ClientRegistration>) -> Answer<Created<WithSecret>> {
    api.in_person()?;
    check(&api, &body.scopes)?;
    let ClientRegistration { label, kind, scopes, redirect_uris } = body;
    let client = api.execute(RegisterClient { label, kind, scopes, redirect_uris }).await?;
    api.created(format!("/clients/{}", client.id), WithSecret::of(&api, client)).await
}

/// Which clients are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClientQuery {
    /// Those in this state.
    state: Option<ClientState>,
    /// Those of this kind.
    kind: Option<ClientKind>,
    /// In which order of registration they come: oldest first if nothing is said.
    sort: Option<TimeOrder>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn list(api: Api, InQuery(query): InQuery<ClientQuery>) -> Answer<Shown<Listed<Client>>> {
    let owner = api.in_person()?;
    let page = page_request(query.after.as_deref(), query.limit)?;
    let filter = ClientFilter { state: query.state, kind: query.kind };
    let sort = query.sort.unwrap_or(TimeOrder::Oldest);
    let clients = api.market().clients(api.actor, owner, &filter, sort, &page).await;
    api.list(clients.map_err(|error| api.refused(error))?).await
}

async fn show(api: Api, InPath(client): InPath<ClientId>) -> Answer<Shown<Client>> {
    api.in_person()?;
    api.show(api.market().client(api.actor, client).await.map_err(|error| api.refused(error))?).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClientDescription {
    label: Label,
    scopes: BTreeSet<Scope>,
    #[serde(default)]
    redirect_uris: BTreeSet<RedirectUri>,
}

async fn describe(
    api: Api,
    InPath(client): InPath<ClientId>,
    Body(body): Body<ClientDescription>,
) -> Answer<Shown<Client>> {
    api.in_person()?;
    check(&api, &body.scopes)?;
    let ClientDescription { label, scopes, redirect_uris } = body;
    let command = DescribeClient {
        client,
        label: Some(label),
        scopes: Some(scopes),
        redirect_uris: Some(redirect_uris),
    };
    api.show(api.execute_on::<Client, _>(client, command).await?).await
}

/// What a client shall be; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ClientPatch {
    label: Edit<Label>,
    /// `null`: none.
    scopes: Edit<BTreeSet<Scope>>,
    /// `null`: none.
    redirect_uris: Edit<BTreeSet<RedirectUri>>,
}

impl Patched for ClientPatch {
    const FIXED: &'static [&'static str] = &["id", "owner", "kind", "registered"];
}

async fn edit(
    api: Api,
    InPath(client): InPath<ClientId>,
    Patch(patch): Patch<ClientPatch>,
) -> Answer<Shown<Client>> {
    api.in_person()?;
    let (label, scopes) = (patch.label.required("label")?, patch.scopes.or_default());
    if let Some(scopes) = &scopes {
        check(&api, scopes)?;
    }
    let command = DescribeClient { client, label, scopes, redirect_uris: patch.redirect_uris.or_default() };
    api.show(api.execute_on::<Client, _>(client, command).await?).await
}

async fn replace_secret(api: Api, InPath(client): InPath<ClientId>) -> Answer<Shown<WithSecret>> {
    api.in_person()?;
    let client = api.execute_on::<Client, _>(client, ReplaceClientSecret { client }).await?;
    api.show(WithSecret::of(&api, client)).await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClientStateChange {
    state: ClientState,
}

async fn set_state(
    api: Api,
    InPath(client): InPath<ClientId>,
    Body(body): Body<ClientStateChange>,
) -> Answer<Shown<Client>> {
    api.in_person()?;
    let command = SetClientState { client, state: body.state };
    api.show(api.execute_on::<Client, _>(client, command).await?).await
}

async fn remove(api: Api, InPath(client): InPath<ClientId>) -> Answer<Done> {
    api.in_person()?;
    api.execute_on::<Client, _>(client, RemoveClient { client }).await?;
    Ok(Done)
}
