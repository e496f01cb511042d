//! Commands and queries about OAuth2 clients.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Command, Context, Decided, MarketError, Marketplace, Refusal};
use crate::access::{Action, Actor, Resource};
use crate::gate::AccessChange;
use crate::id::ClientId;
use crate::name::Label;
use crate::oauth::{Client, ClientKind, ClientState, RedirectUri, Scope, ScopeMeaning};
use crate::outbox::Event;
use crate::store::{Halt, StoreExt};
use crate::user::User;

const MISSING: Refusal = Refusal::NotFound { what: "client" };

/// Registers a client; the actor becomes its owner.
///
/// A scope that names a role is refused unless there is the role. Which other scopes there are is the authorization
/// server's business: whoever takes registrations checks them against its list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterClient {
    /// What users will see.
    pub label: Label,
    /// What kind of program it is.
    pub kind: ClientKind,
    /// What it may ask for: at least one.
    pub scopes: BTreeSet<Scope>,
    /// Where users may be sent back to: at least one, but none for machines. A private-use scheme is for public
    /// clients alone.
    pub redirect_uris: BTreeSet<RedirectUri>,
}

impl Command for RegisterClient {
    type Done = Client;
    const NAME: &'static str = "register_client";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Client> {
        context.authorize(Action::RegisterClient, &Resource::MARKETPLACE)?;
        let Some(owner) = context.user() else {
            return Err(Halt::Refused(Refusal::invalid(
                "actor",
                "a client is registered by a user, its owner",
            )));
        };
        let client = Client {
            id: context.tx.fresh_id()?,
            owner,
            label: self.label.clone(),
            kind: self.kind,
            scopes: self.scopes.clone(),
            redirect_uris: self.redirect_uris.clone(),
            state: ClientState::Active,
            secret_generation: 0,
            registered: context.tx.now(),
        };
        check(&client)?;
        check_roles(context, &client.scopes)?;
        context.tx.create(&client)?;
        context.emit(Event::ClientChanged { client: client.id, owner });
        Ok(client)
    }
}

/// Whether a client is what one can be.
fn check(client: &Client) -> Decided<()> {
    let refuse = |field, reason| Err(Halt::Refused(Refusal::invalid(field, reason)));
    if !(1..=Client::MAX_SCOPES).contains(&client.scopes.len()) {
        return refuse("scopes", "1 to 64 are expected");
    }
    if client.redirect_uris.len() > Client::MAX_REDIRECT_URIS {
        return refuse("redirect_uris", "at most 16 are allowed");
    }
    if client.kind.is_redirected_to() == client.redirect_uris.is_empty() {
        return refuse("redirect_uris", "machines have none, and other clients have at least one");
    }
    if client.kind != ClientKind::Public && client.redirect_uris.iter().any(RedirectUri::is_private_use) {
        return refuse("redirect_uris", "a private-use scheme is for public clients");
    }
    Ok(())
}

/// Refuses scopes of roles that there are not.
fn check_roles<'a>(
    context: &mut Context<'_, '_>,
    scopes: impl IntoIterator<Item = &'a Scope>,
) -> Decided<()> {
    let named = scopes.into_iter().filter_map(|scope| match scope.meaning() {
        ScopeMeaning::Role(role) => Some((scope, role)),
        _ => None,
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        return Ok(());
    }
    let book = context.roles()?;
    match named.into_iter().find(|(_, role)| book.permissions(role).is_none()) {
        Some((scope, _)) => Err(Halt::Refused(Refusal::UnknownScope { scope: scope.to_string() })),
        None => Ok(()),
    }
}

/// The client, if the actor may manage it. To others it does not exist.
fn managed(context: &mut Context<'_, '_>, id: ClientId) -> Decided<Client> {
    let client: Client = context.tx.need(&id, MISSING)?;
    match context.authorize(Action::ManageClient, &Resource::of_user(client.owner)) {
        Err(Halt::Refused(Refusal::Forbidden { .. })) => Err(Halt::Refused(MISSING)),
        other => other.map(|()| client),
    }
}

fn changed(context: &mut Context<'_, '_>, client: &Client) {
    context.emit(Event::ClientChanged { client: client.id, owner: client.owner });
}

/// Gives a client another label, other scopes and other redirect URIs; what is `None` stays. Tokens that it holds do no more than its
/// scopes allow from then on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DescribeClient {
    /// Which.
    pub client: ClientId,
    /// What users will see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What it may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<BTreeSet<Scope>>,
    /// Where users may be sent back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uris: Option<BTreeSet<RedirectUri>>,
}

impl Command for DescribeClient {
    type Done = Client;
    const NAME: &'static str = "describe_client";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Client> {
        let before = managed(context, self.client)?;
        let client = Client {
            label: self.label.as_ref().unwrap_or(&before.label).clone(),
            scopes: self.scopes.as_ref().unwrap_or(&before.scopes).clone(),
            redirect_uris: self.redirect_uris.as_ref().unwrap_or(&before.redirect_uris).clone(),
            ..before.clone()
        };
        check(&client)?;
        // What it has already may name a role that was removed since: that gives nothing.
        check_roles(context, client.scopes.difference(&before.scopes))?;
        context.tx.replace(&client)?;
        changed(context, &client);
        if !client.scopes.is_superset(&before.scopes) {
            context.access_changed(AccessChange::Client(client.id));
        }
        Ok(client)
    }
}

/// Gives a client another secret: the former one is void at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplaceClientSecret {
    /// Which.
    pub client: ClientId,
}

impl Command for ReplaceClientSecret {
    type Done = Client;
    const NAME: &'static str = "replace_client_secret";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Client> {
        let mut client = managed(context, self.client)?;
        if !client.kind.has_secret() {
            return Err(Halt::Refused(Refusal::invalid("client", "a public client has no secret")));
        }
        client.secret_generation = client
            .secret_generation
            .checked_add(1)
            .ok_or_else(|| Halt::Refused(Refusal::invalid("client", "it has had too many secrets")))?;
        context.tx.replace(&client)?;
        changed(context, &client);
        Ok(client)
    }
}

/// Switches a client on or off. Suspending it, and taking that back, is for who manages users.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetClientState {
    /// Which.
    pub client: ClientId,
    /// The state that it shall be in.
    pub state: ClientState,
}

impl Command for SetClientState {
    type Done = Client;
    const NAME: &'static str = "set_client_state";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<Client> {
        let mut client = managed(context, self.client)?;
        if [client.state, self.state].contains(&ClientState::Suspended) {
            context.authorize(Action::ManageUsers, &Resource::MARKETPLACE)?;
        }
        if client.state == self.state {
            return Err(Halt::Refused(Refusal::WrongState { what: "client", state: client.state.as_str() }));
        }
        client.state = self.state;
        context.tx.replace(&client)?;
        changed(context, &client);
        context.access_changed(AccessChange::Client(client.id));
        Ok(client)
    }
}

/// Removes a client, and with it everything that it was allowed. One that is suspended stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveClient {
    /// Which.
    pub client: ClientId,
}

impl Command for RemoveClient {
    type Done = ();
    const NAME: &'static str = "remove_client";

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        let client = managed(context, self.client)?;
        if client.state == ClientState::Suspended {
            context.authorize(Action::ManageUsers, &Resource::MARKETPLACE)?;
        }
        context.tx.remove::<Client>(&client.id)?;
        changed(context, &client);
        context.access_changed(AccessChange::Client(client.id));
        Ok(())
    }
}

impl Marketplace {
    /// A client, for its owner and those who manage clients. To others it does not exist.
    pub async fn client(&self, actor: Actor, client: ClientId) -> Result<Client, MarketError> {
        let client: Client = self.entity(&client, "client").await?;
        match self.authorize(actor, Action::ManageClient, &Resource::of_user(client.owner)).await {
            Err(MarketError::Refused(Refusal::Forbidden { .. })) => Err(MISSING.into()),
            other => other.map(|()| client),
        }
    }

    /// The client of this id with its owner: for who checks logins.
    pub async fn client_login(&self, client: ClientId) -> Result<Option<(Client, User)>, MarketError> {
        let Some(client) = self.store.get::<Client>(&client).await? else { return Ok(None) };
        let Some(owner) = self.store.get::<User>(&client.entity.owner).await? else { return Ok(None) };
        Ok(Some((client.entity, owner.entity)))
    }
}
