//! The authorization endpoint: what a browser brings, and what it is sent back with.

use std::collections::BTreeSet;

use i3_core::id::{ClientId, UserId};
use i3_core::name::Label;
use i3_core::oauth::{Client, ClientKind, RedirectUri, Scope};
use i3_core::user::{User, UserState};
use serde::Serialize;

use super::error::{ErrorCode, OAuthError, Refusal};
use super::parameters::Parameters;
use super::pkce;
use super::settings::{OfferedScope, Settings};

/// The longest `state`, in characters.
pub const MAX_STATE: usize = 1_024;

/// Why an authorization request is not put to the user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// To be shown to the user, and never redirected: who asks, or where to, is not known for sure (RFC 6749,
    /// section 4.1.2.1; RFC 9700, section 4.11).
    #[error("{0}")]
    Shown(Refusal),
    /// The client is to be told, by sending the browser to this address.
    #[error("the client is told: {refusal}")]
    Redirected {
        /// The address, with all that it says. To be sent with status 303, so that no form is posted on (RFC
        /// 9700, section 4.12).
        location: String,
        /// What it says.
        refusal: Refusal,
    },
    /// It could not be looked at.
    #[error(transparent)]
    Failed(#[from] OAuthError),
}

/// A request that may be put to the user: everything in it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    pub(super) client: Client,
    owner: User,
    pub(super) redirect_uri: RedirectUri,
    pub(super) scopes: BTreeSet<Scope>,
    pub(super) challenge: String,
    state: Option<String>,
}

/// What a user is asked: for the page that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Consent {
    /// Which client asks.
    pub client: ClientId,
    /// What it is called, by its owner.
    pub label: Label,
    /// Who registered it.
    pub owner: UserId,
    /// What that user is called.
    pub owner_name: Label,
    /// Whether it runs on the user's own machine, where any program may claim to be it (RFC 8252, section 8.6).
    pub public: bool,
    /// The host where the user will be sent, or the app's scheme.
    pub sent_to: String,
    /// What it wants to do.
    pub scopes: Vec<OfferedScope>,
}

impl AuthorizationRequest {
    /// Which client a request claims to be of, before anything else is looked at.
    pub(super) fn client_of(parameters: &Parameters<'_>) -> Result<ClientId, Refusal> {
        let id = parameters.need("client_id", "client_id is missing")?;
        id.parse().map_err(|_| unknown_client())
    }

    /// Checks a request against the client that it names. Pure.
    pub(super) fn check(
        parameters: &Parameters<'_>,
        client: Client,
        owner: User,
        settings: &Settings,
    ) -> Result<Self, AuthorizeError> {
        // First who asks and where to: nothing is sent anywhere before both are sure.
        if !client.is_active() || owner.state != UserState::Active {
            return Err(AuthorizeError::Shown(unknown_client()));
        }
        let redirect_uri = parameters
            .need("redirect_uri", "redirect_uri is missing")
            .and_then(|text| text.parse().map_err(|_| unknown_redirect()))
            .map_err(AuthorizeError::Shown)?;
        if !client.admits(&redirect_uri) {
            return Err(AuthorizeError::Shown(unknown_redirect()));
        }
        let state = state(parameters);
        let told = state.as_ref().ok().cloned().flatten();
        let checked = state.and_then(|state| {
            let (scopes, challenge) = contents(parameters, &client, settings)?;
            Ok((state, scopes, challenge))
        });
        match checked {
            Ok((state, scopes, challenge)) => {
                Ok(Self { client, owner, redirect_uri, scopes, challenge, state })
            }
            Err(refusal) => {
                let location = refused(&redirect_uri, told.as_deref(), settings, refusal);
                Err(AuthorizeError::Redirected { location, refusal })
            }
        }
    }

    /// What the user is to be asked.
    pub fn consent(&self, settings: &Settings) -> Consent {
        Consent {
            client: self.client.id,
            label: self.client.label.clone(),
            owner: self.owner.id,
            owner_name: self.owner.display.clone(),
            public: self.client.kind == ClientKind::Public,
            sent_to: self.redirect_uri.host().to_owned(),
            scopes: settings.offered(&self.scopes),
        }
    }

    /// Where to send the browser of a user who said no (RFC 6749, section 4.1.2.1), with status 303.
    pub fn denied(&self, settings: &Settings) -> String {
        let refusal = Refusal::new(ErrorCode::AccessDenied, "the user did not allow it");
        refused(&self.redirect_uri, self.state.as_deref(), settings, refusal)
    }

    /// Where to send the browser of a user who said yes (RFC 6749, section 4.1.2).
    pub(super) fn allowed(&self, settings: &Settings, code: &str) -> String {
        answer(&self.redirect_uri, self.state.as_deref(), settings, &[("code", code)])
    }
}

pub(super) fn unknown_client() -> Refusal {
    Refusal::request("there is no such client, or it is switched off")
}

fn unknown_redirect() -> Refusal {
    Refusal::request("redirect_uri is not one that the client registered")
}

/// `state` is given back as it is (RFC 6749, section 4.1.1).
fn state(parameters: &Parameters<'_>) -> Result<Option<String>, Refusal> {
    let state = parameters.get("state")?;
    if state.is_some_and(|state| state.len() > MAX_STATE) {
        return Err(Refusal::request("state is too long"));
    }
    Ok(state.map(ToOwned::to_owned))
}

fn contents(
    parameters: &Parameters<'_>,
    client: &Client,
    settings: &Settings,
) -> Result<(BTreeSet<Scope>, String), Refusal> {
    if parameters.get("request")?.is_some() {
        return Err(Refusal::new(ErrorCode::RequestNotSupported, "request objects are not offered"));
    }
    if parameters.get("request_uri")?.is_some() {
        return Err(Refusal::new(ErrorCode::RequestUriNotSupported, "request objects are not offered"));
    }
    match parameters.need("response_type", "response_type is missing")? {
        "code" => {}
        // No tokens in addresses (RFC 9700, section 2.1.2).
        _ => return Err(Refusal::new(ErrorCode::UnsupportedResponseType, "response_type has to be code")),
    }
    if parameters.get("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(Refusal::request("response_mode has to be query"));
    }
    let challenge =
        pkce::challenge(parameters.get("code_challenge")?, parameters.get("code_challenge_method")?)?;
    check_resource(parameters, settings)?;
    let scopes = scopes(parameters, &client.scopes, settings)?;
    Ok((scopes, challenge))
}

/// `resource` (RFC 8707), if it is there, has to be the one that is served.
pub(super) fn check_resource(parameters: &Parameters<'_>, settings: &Settings) -> Result<(), Refusal> {
    match parameters.get("resource")? {
        Some(resource) if resource != settings.audience() => {
            Err(Refusal::new(ErrorCode::InvalidTarget, "tokens for this resource are not issued here"))
        }
        _ => Ok(()),
    }
}

/// The scopes that are asked for, all of which have to be among `most`; without the parameter all of `most` that
/// are offered (RFC 6749, section 3.3).
pub(super) fn scopes(
    parameters: &Parameters<'_>,
    most: &BTreeSet<Scope>,
    settings: &Settings,
) -> Result<BTreeSet<Scope>, Refusal> {
    let refuse = || Refusal::new(ErrorCode::InvalidScope, "a scope is unknown, or more than is allowed");
    let asked: BTreeSet<Scope> = match parameters.get("scope")? {
        Some(text) => {
            let parsed: Result<_, _> =
                text.split(' ').filter(|word| !word.is_empty()).map(str::parse).collect();
            parsed.map_err(|_| refuse())?
        }
        None => most.iter().filter(|scope| settings.offers(scope)).cloned().collect(),
    };
    let allowed = asked.iter().all(|scope| most.contains(scope) && settings.offers(scope));
    if allowed && !asked.is_empty() { Ok(asked) } else { Err(refuse()) }
}

fn refused(to: &RedirectUri, state: Option<&str>, settings: &Settings, refusal: Refusal) -> String {
    answer(
        to,
        state,
        settings,
        &[("error", refusal.code.as_str()), ("error_description", refusal.description)],
    )
}

/// The redirect URI with an answer in its query: what it had before stays (RFC 6749, section 3.1.2). `iss` tells the
/// client which server answers, so that it cannot be led to give the code to another (RFC 9207).
fn answer(to: &RedirectUri, state: Option<&str>, settings: &Settings, says: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(says);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", settings.issuer());
    let joint = match to.as_str().split_once('?') {
        None => "?",
        Some((_, before)) if before.is_empty() || before.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{to}{joint}{}", query.finish())
}
