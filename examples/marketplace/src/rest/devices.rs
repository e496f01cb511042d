//! Devices and their credentials. No answer holds a password or its hash.

use i3_auth::Secret;
use i3_auth::device_token::{DevicePublicKey, looks_like_token};
use i3_core::access::Action;
use i3_core::device::{Credential, CredentialKind, Device, DeviceState, KeyAlgorithm};
use i3_core::id::{CredentialId, DeviceId, HubId};
use i3_core::market::{
    AddCredential, Caller, DescribeDevice, NewCredential, Paged, RecordTag, RegisterDevice, RemoveCredential,
    SetDeviceState, TimeOrder,
};
use i3_core::name::{AuthId, Label, Slug};
use i3_core::store::StoreError;
use i3_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::representation::{Created, Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, Edit, InPath, InQuery, Patch, Patched, page_request};
use super::route::{Done, Routes, about};
use super::users::hash;

pub(super) fn routes() -> Routes {
    let manages = |id, summary| about(id, summary).permission(Action::ManageDevices);
    Routes::new()
        .get(
            "/hubs/{hub}/devices",
            list,
            about("list_devices", "The devices of a hub").permission(Action::ViewHub),
        )
        .post(
            "/hubs/{hub}/devices",
            register,
            manages("register_device", "Registers a device of a hub").relation("register-device"),
        )
        .get("/devices/{device}", show, about("show_device", "A device").permission(Action::ViewHub))
        .patch(
            "/devices/{device}",
            edit,
            manages("edit_device", "Changes what people read about a device").relation("describe"),
        )
        .put(
            "/devices/{device}/state",
            set_state,
            manages("set_device_state", "Lets a device connect or not").relation("set-state"),
        )
        .post(
            "/devices/{device}/credentials",
            add_credential,
            manages("add_credential", "Gives a device one more password or key").relation("add-credential"),
        )
        .delete(
            "/devices/{device}/credentials/{credential}",
            remove_credential,
            manages("remove_credential", "Takes a password or key away from a device")
                .relation("remove-credential"),
        )
}

/// What is shown of a credential.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Credential")]
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
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Device")]
struct DeviceView {
    /// What `If-Match` is about; its tag is made only if it is shown.
    #[serde(skip)]
    record: Device,
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

impl DeviceView {
    fn of(record: Device) -> Self {
        let Device { id, hub, name, title, auth_id, state, credentials, registered } = record.clone();
        let credentials = credentials.into_iter().map(CredentialView::from).collect();
        Self { record, id, hub, name, title, auth_id, state, credentials, registered }
    }
}

impl Linked for DeviceView {
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        RecordTag::of(&self.record).map(Some)
    }

    fn links(&self, caller: &Caller, links: &mut Links<'_>) {
        let own = format!("/devices/{}", self.id);
        links.own(&own);
        links.to("hub", format!("/hubs/{}", self.hub));
        if caller.may_in_hub(Action::ManageDevices, self.hub) {
            links.action("describe", &own);
            links.action("set-state", format!("{own}/state"));
            links.action("add-credential", format!("{own}/credentials"));
            for credential in &self.credentials {
                links.action("remove-credential", format!("{own}/credentials/{}", credential.id));
            }
        }
    }
}

/// A password or a key that a device shall log in with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
#[schemars(rename = "NewCredential")]
enum CredentialRequest {
    Password {
        #[schemars(with = "String")]
        password: Secret,
    },
    PublicKey {
        pem: String,
        algorithm: Option<KeyAlgorithm>,
    },
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

/// A device to be registered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeviceRegistration {
    name: Slug,
    title: Label,
    credential: CredentialRequest,
}

async fn register(
    api: Api,
    InPath(hub): InPath<HubId>,
    Body(body): Body<DeviceRegistration>,
) -> Answer<Created<DeviceView>> {
    let credential = body.credential.checked(&api).await?;
    let device = api.execute(RegisterDevice { hub, name: body.name, title: body.title, credential }).await?;
    api.created(format!("/devices/{}", device.id), DeviceView::of(device)).await
}

/// Which devices are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeviceQuery {
    /// Those in this state.
    state: Option<DeviceState>,
    /// In which order of registration they come: oldest first if nothing is said.
    sort: Option<TimeOrder>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn list(
    api: Api,
    InPath(hub): InPath<HubId>,
    InQuery(query): InQuery<DeviceQuery>,
) -> Answer<Shown<Listed<DeviceView>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let sort = query.sort.unwrap_or(TimeOrder::Oldest);
    let devices = api.market().devices(api.actor, hub, query.state, sort, &page).await;
    let Paged { items, next } = devices.map_err(|error| api.refused(error))?;
    let items = items.into_iter().map(DeviceView::of).collect();
    api.list(Paged { items, next }).await
}

async fn show(api: Api, InPath(device): InPath<DeviceId>) -> Answer<Shown<DeviceView>> {
    let device = api.market().device(api.actor, device).await.map_err(|error| api.refused(error))?;
    api.show(DeviceView::of(device)).await
}

/// What people shall read about a device; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct DevicePatch {
    title: Edit<Label>,
}

impl Patched for DevicePatch {
    const FIXED: &'static [&'static str] = &["id", "hub", "name", "auth_id", "registered"];
}

async fn edit(
    api: Api,
    InPath(device): InPath<DeviceId>,
    Patch(patch): Patch<DevicePatch>,
) -> Answer<Shown<DeviceView>> {
    let command = DescribeDevice { device, title: patch.title.required("title")? };
    api.show(DeviceView::of(api.execute_on::<Device, _>(device, command).await?)).await
}

/// The state that a device shall be in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeviceStateChange {
    state: DeviceState,
}

async fn set_state(
    api: Api,
    InPath(device): InPath<DeviceId>,
    Body(body): Body<DeviceStateChange>,
) -> Answer<Done> {
    api.execute_on::<Device, _>(device, SetDeviceState { device, state: body.state }).await?;
    Ok(Done)
}

/// A password or a key with the time in which it is good.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CredentialAddition {
    credential: CredentialRequest,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

/// A credential that was added.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddedCredential")]
struct Added {
    id: CredentialId,
}

impl Linked for Added {}

async fn add_credential(
    api: Api,
    InPath(device): InPath<DeviceId>,
    Body(body): Body<CredentialAddition>,
) -> Answer<Created<Added>> {
    let credential = body.credential.checked(&api).await?;
    let CredentialAddition { not_before, not_after, .. } = body;
    let id = api
        .execute_on::<Device, _>(device, AddCredential { device, credential, not_before, not_after })
        .await?;
    api.created(format!("/devices/{device}/credentials/{id}"), Added { id }).await
}

async fn remove_credential(
    api: Api,
    InPath((device, credential)): InPath<(DeviceId, CredentialId)>,
) -> Answer<Done> {
    api.execute_on::<Device, _>(device, RemoveCredential { device, credential }).await?;
    Ok(Done)
}
