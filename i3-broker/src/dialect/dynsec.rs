//! Mosquitto's dynamic-security plug-in: rights written into the broker ahead of time.
//!
//! The plug-in asks nobody; it is told, by JSON commands on an MQTT topic, which clients there are and what each
//! may do. A [`DynsecMirror`] keeps the plug-in's clients in line with the marketplace: one role for each
//! principal, with its exact topics, decided by the same [`Decider`] as everything else. Mosquitto disconnects a
//! client whose role or password changes, or that is disabled or deleted, at once.
//!
//! The plug-in checks passwords itself, so it has to be given them. An order's password can be computed; of a
//! device's only a hash is kept, and tokens are unknown to the plug-in. A device without a password here keeps
//! the plug-in's client that the operator made for it; the mirror enables and disables that and fills its role.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use i3_core::gate::{AccessChange, AccessListener, Principal};
use i3_core::store::StoreError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Decider, Rights, Roster};

/// Where commands are published, at `QoS` 1 or 2, by a client with the role of the plug-in's administrator.
pub const CONTROL_TOPIC: &str = "$CONTROL/dynamic-security/v1";
/// Where the answers come, one for each publish, in order.
pub const RESPONSE_TOPIC: &str = "$CONTROL/dynamic-security/v1/response";

/// Why the plug-in is not in line with the marketplace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DynsecError {
    /// The broker could not be told.
    #[error("the broker could not be told: {0}")]
    Unreachable(String),
    /// The plug-in did not carry out a command.
    #[error("the plug-in answered to `{command}`: {error}")]
    Refused {
        /// Which command.
        command: String,
        /// What it says.
        error: String,
    },
    /// The plug-in's answer could not be understood.
    #[error("the plug-in's answer could not be read")]
    Unreadable,
    /// The store gave no answer. The client was cut off, unless another error came first.
    #[error("the rights could not be read")]
    Store(#[from] StoreError),
}

/// Sends commands to the plug-in.
#[async_trait]
pub trait DynsecControl: fmt::Debug + Send + Sync + 'static {
    /// Publishes these commands at [`CONTROL_TOPIC`] and gives the answer of [`RESPONSE_TOPIC`] that belongs to
    /// them, within a limited time. The error is for people.
    async fn send(&self, commands: String) -> Result<Vec<u8>, String>;
}

/// Knows passwords that the plug-in shall check.
#[async_trait]
pub trait DynsecPasswords: fmt::Debug + Send + Sync + 'static {
    /// The present password of a principal, if it can be known.
    async fn password(&self, principal: Principal) -> Result<Option<String>, StoreError>;
}

fn commands(commands: &[Value]) -> String {
    json!({ "commands": commands }).to_string()
}

fn role_of(username: &str) -> String {
    format!("i3-{username}")
}

/// Nothing is allowed that no role allows. To be sent once; the plug-in's own default lets everybody receive.
pub fn closed_by_default() -> String {
    let kinds = ["publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"];
    // To give up a subscription takes no right.
    let acls: Vec<Value> =
        kinds.iter().map(|kind| json!({ "acltype": kind, "allow": *kind == "unsubscribe" })).collect();
    commands(&[json!({ "command": "setDefaultACLAccess", "acls": acls })])
}

/// Lets a client do exactly this. Without a password, the plug-in's client of this name stays as it is, but that it
/// is enabled and has the role.
pub fn admit(username: &str, password: Option<&str>, rights: &Rights) -> String {
    let role = role_of(username);
    let acl = |kind: &str, topic: &dyn fmt::Display| json!({ "acltype": kind, "topic": topic.to_string(), "priority": 0, "allow": true });
    let mut acls: Vec<Value> = rights.publish.iter().map(|topic| acl("publishClientSend", topic)).collect();
    for topic in &rights.receive {
        acls.push(acl("subscribeLiteral", topic));
        acls.push(acl("publishClientReceive", topic));
    }
    // Made anew rather than changed: then no client has it, and to give it to one is no mistake the second time.
    let mut all = vec![
        json!({ "command": "deleteRole", "rolename": role }),
        json!({ "command": "createRole", "rolename": role, "acls": acls }),
    ];
    match password {
        Some(password) => {
            let roles = json!([{ "rolename": role }]);
            all.push(json!({ "command": "createClient", "username": username, "password": password }));
            all.push(json!({
                "command": "modifyClient", "username": username, "password": password, "roles": roles,
            }));
        }
        None => all.push(json!({ "command": "addClientRole", "username": username, "rolename": role })),
    }
    all.push(json!({ "command": "enableClient", "username": username }));
    commands(&all)
}

/// Disconnects a client, keeps it out and deletes its role. A client whose password is known is deleted too, and made
/// again if it is let in again; another is the operator's.
pub fn dismiss(username: &str, known: bool) -> String {
    // Disabled first: whatever fails afterwards, it is out.
    let mut all = vec![json!({ "command": "disableClient", "username": username })];
    if known {
        all.push(json!({ "command": "deleteClient", "username": username }));
    }
    all.push(json!({ "command": "deleteRole", "rolename": role_of(username) }));
    commands(&all)
}

#[derive(Deserialize)]
struct Responses {
    responses: Vec<Response>,
}

#[derive(Deserialize)]
struct Response {
    command: String,
    error: Option<String>,
}

/// Whether the plug-in did what it was told. What was there already, or was gone already, is as good.
pub fn check(answer: &[u8]) -> Result<(), DynsecError> {
    let Responses { responses } = serde_json::from_slice(answer).map_err(|_| DynsecError::Unreadable)?;
    for Response { command, error } in responses {
        let Some(error) = error else { continue };
        let harmless = match command.as_str() {
            "createClient" => error.ends_with("already exists"),
            "disableClient" | "deleteClient" | "deleteRole" => error.ends_with("not found"),
            _ => false,
        };
        if !harmless {
            return Err(DynsecError::Refused { command, error });
        }
    }
    Ok(())
}

/// Keeps Mosquitto's dynamic security in line with the marketplace.
///
/// As listener of a marketplace it takes rights away before the command returns. That something new may be done
/// (an order was placed, a device registered) changes nobody's access and is not announced: then
/// [`bring_in_line`](Self::bring_in_line) has to be called.
#[derive(Debug)]
pub struct DynsecMirror {
    control: Arc<dyn DynsecControl>,
    passwords: Arc<dyn DynsecPasswords>,
    decider: Decider,
    roster: Arc<dyn Roster>,
}

impl DynsecMirror {
    /// Tells the plug-in through this control what this decider decides.
    pub fn new(
        control: Arc<dyn DynsecControl>,
        passwords: Arc<dyn DynsecPasswords>,
        decider: Decider,
        roster: Arc<dyn Roster>,
    ) -> Self {
        Self { control, passwords, decider, roster }
    }

    /// Denies what no role allows. Call it once, before clients are let in.
    pub async fn close(&self) -> Result<(), DynsecError> {
        self.tell(closed_by_default()).await
    }

    /// Makes the plug-in allow a principal what it may do now, and nothing else. Its clients are disconnected, also if
    /// nothing changed.
    pub async fn bring_in_line(&self, principal: Principal) -> Result<(), DynsecError> {
        let Some(name) = self.roster.username(principal).await? else { return Ok(()) };
        let password = match self.passwords.password(principal).await {
            Ok(password) => password,
            Err(error) => {
                self.tell(dismiss(&name, false)).await?;
                return Err(error.into());
            }
        };
        match self.decider.rights(principal).await {
            Ok(rights) => self.tell(admit(&name, password.as_deref(), &rights)).await,
            // For whatever reason: in doubt it is no.
            Err(_) => self.tell(dismiss(&name, password.is_some())).await,
        }
    }

    async fn tell(&self, commands: String) -> Result<(), DynsecError> {
        check(&self.control.send(commands).await.map_err(DynsecError::Unreachable)?)
    }
}

#[async_trait]
impl AccessListener for DynsecMirror {
    async fn access_changed(&self, changes: &[AccessChange]) {
        for change in changes {
            let concerned = match self.roster.concerned(change).await {
                Ok(concerned) => concerned,
                Err(error) => {
                    tracing::error!(code = error.kind().code(), "{change:?} was not mirrored: {error}");
                    continue;
                }
            };
            for principal in concerned {
                let mut told = self.bring_in_line(principal).await;
                if told.is_err() {
                    told = self.bring_in_line(principal).await;
                }
                if let Err(error) = told {
                    tracing::error!("the broker may still allow what {principal:?} may not: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights() -> Rights {
        Rights {
            publish: vec!["i3/acme/air".parse().unwrap()],
            receive: vec!["i3/acme/water".parse().unwrap()],
            until: None,
        }
    }

    fn read(text: &str) -> Vec<Value> {
        serde_json::from_str::<Value>(text).unwrap()["commands"].as_array().unwrap().clone()
    }

    #[test]
    fn a_role_has_the_exact_topics_and_nothing_else() {
        let all = read(&admit("acme.sensor", Some("secret"), &rights()));
        let acl = |kind: &str, topic: &str| json!({ "acltype": kind, "topic": topic, "priority": 0, "allow": true });
        let expected = json!([
            acl("publishClientSend", "i3/acme/air"),
            acl("subscribeLiteral", "i3/acme/water"),
            acl("publishClientReceive", "i3/acme/water"),
        ]);
        assert_eq!((&all[1]["rolename"], &all[1]["acls"]), (&json!("i3-acme.sensor"), &expected));
        assert_eq!(all[3]["roles"], json!([{ "rolename": "i3-acme.sensor" }]));
        let others = admit("acme.sensor", None, &rights());
        assert!(!others.contains("createClient") && !others.contains("password"), "{others}");
    }

    #[test]
    fn a_client_is_out_before_anything_else_is_tried() {
        for known in [true, false] {
            assert_eq!(read(&dismiss("acme.sensor", known))[0]["command"], "disableClient");
        }
        assert!(!dismiss("acme.sensor", false).contains("deleteClient"), "it is the operator's");
    }

    #[test]
    fn only_what_was_so_already_is_no_failure() {
        let answer = |command: &str, error: &str| {
            check(
                json!({ "responses": [{ "command": "createRole" }, { "command": command, "error": error }] })
                    .to_string()
                    .as_bytes(),
            )
        };
        for (command, error) in [
            ("createClient", "Client already exists"),
            ("deleteRole", "Role not found"),
            ("deleteClient", "Client not found"),
            ("disableClient", "Client not found"),
        ] {
            assert!(answer(command, error).is_ok(), "{command}");
        }
        for (command, error) in [
            ("enableClient", "Client not found"),
            ("modifyClient", "Client not found"),
            ("createClient", "Internal error"),
            ("createRole", "Role already exists"),
            ("addClientRole", "Client not found"),
        ] {
            assert!(matches!(answer(command, error), Err(DynsecError::Refused { .. })), "{command}");
        }
        assert!(matches!(check(b"{}"), Err(DynsecError::Unreadable)));
    }
}
