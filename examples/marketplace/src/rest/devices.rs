//! Devices and their credentials. No answer holds a password or its hash.

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use i3_auth::Secret;
use i3_auth::device_token::{DevicePublicKey, looks_like_token};
use i3_core::device::{Credential, CredentialKind, Device, DeviceState, KeyAlgorithm};
use i3_core::id::{CredentialId, DeviceId, HubId};
use i3_core::market::{
    AddCredential, NewCredential, Paged, RegisterDevice, RemoveCredential, SetDeviceState,
};
use i3_core::name::{AuthId, Label, Slug};
use i3_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::request::{Answer, Api, Body, InPath, InQuery, PageQuery};
use super::users::hash;
use super::{AppState, created};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/hubs/{hub}/devices", get(list).post(register))
        .route("/devices/{device}", get(show))
        .route("/devices/{device}/state", put(set_state))
        .route("/devices/{device}/credentials", post(add_credential))
        .route("/devices/{device}/credentials/{credential}", delete(remove_credential))
}

/// What is shown of a credential.
#[derive(Serialize)]
struct CredentialView {
    id: CredentialId,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<KeyAlgorithm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pem: Option<String>,
    not_before: Timestamp,
    not_after: Option<Timestamp>,
}

impl From<Credential> for CredentialView {
    fn from(credential: Credential) -> Self {
        let (kind, algorithm, pem) = match credential.kind {
            CredentialKind::Password => ("password", None, None),
            CredentialKind::PublicKey { algorithm, pem } => ("public_key", Some(algorithm), Some(pem)),
            _ => ("other", None, None),
        };
        let Credential { id, not_before, not_after, .. } = credential;
        Self { id, kind, algorithm, pem, not_before, not_after }
    }
}

/// What is shown of a device.
#[derive(Serialize)]
struct DeviceView {
    id: DeviceId,
    hub: HubId,
    name: Slug,
    title: Label,
    /// The MQTT user name.
    auth_id: AuthId,
    state: DeviceState,
    credentials: Vec<CredentialView>,
    registered: Timestamp,
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        let Device { id, hub, name, title, auth_id, state, credentials, registered } = device;
        let credentials = credentials.into_iter().map(CredentialView::from).collect();
        Self { id, hub, name, title, auth_id, state, credentials, registered }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
enum CredentialRequest {
    Password { password: Secret },
    PublicKey { pem: String, algorithm: Option<KeyAlgorithm> },
}

impl CredentialRequest {
    async fn checked(self, api: &Api) -> Answer<NewCredential> {
        // Strangers cause no hashing.
        api.user()?;
        match self {
            Self::Password { password } if looks_like_token(password.expose().as_bytes()) => {
                Err(Problem::invalid("password", "it has the shape of a device token"))
            }
            Self::Password { password } => Ok(NewCredential::Password { hash: hash(api, &password).await? }),
            Self::PublicKey { pem, algorithm } => {
                let key = DevicePublicKey::from_pem(algorithm, &pem)
                    .map_err(|error| Problem::invalid("pem", error))?;
                Ok(NewCredential::PublicKey { algorithm: key.algorithm(), pem })
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    name: Slug,
    title: Label,
    credential: CredentialRequest,
}

async fn register(api: Api, InPath(hub): InPath<HubId>, Body(body): Body<Registration>) -> Answer<Response> {
    let credential = body.credential.checked(&api).await?;
    let device = api.execute(RegisterDevice { hub, name: body.name, title: body.title, credential }).await?;
    Ok(created(format!("/api/v1/devices/{}", device.id), Json(DeviceView::from(device))))
}

async fn list(
    api: Api,
    InPath(hub): InPath<HubId>,
    InQuery(page): InQuery<PageQuery>,
) -> Answer<Json<Paged<DeviceView>>> {
    let devices = api.market().devices(api.actor, hub, &page.request()?).await;
    let Paged { items, next } = devices.map_err(|error| api.refused(error))?;
    Ok(Json(Paged { items: items.into_iter().map(DeviceView::from).collect(), next }))
}

async fn show(api: Api, InPath(device): InPath<DeviceId>) -> Answer<Json<DeviceView>> {
    let device = api.market().device(api.actor, device).await.map_err(|error| api.refused(error))?;
    Ok(Json(device.into()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    state: DeviceState,
}

async fn set_state(
    api: Api,
    InPath(device): InPath<DeviceId>,
    Body(body): Body<State>,
) -> Answer<StatusCode> {
    api.execute(SetDeviceState { device, state: body.state }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Addition {
    credential: CredentialRequest,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

#[derive(Serialize)]
struct Added {
    id: CredentialId,
}

async fn add_credential(
    api: Api,
    InPath(device): InPath<DeviceId>,
    Body(body): Body<Addition>,
) -> Answer<Response> {
    let credential = body.credential.checked(&api).await?;
    let Addition { not_before, not_after, .. } = body;
    let id = api.execute(AddCredential { device, credential, not_before, not_after }).await?;
    Ok(created(format!("/api/v1/devices/{device}/credentials/{id}"), Json(Added { id })))
}

async fn remove_credential(
    api: Api,
    InPath((device, credential)): InPath<(DeviceId, CredentialId)>,
) -> Answer<StatusCode> {
    api.execute(RemoveCredential { device, credential }).await?;
    Ok(StatusCode::NO_CONTENT)
}
