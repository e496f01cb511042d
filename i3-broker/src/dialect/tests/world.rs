//! A marketplace of a few rights, and brokers that ask about them in their own words.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use i3_core::gate::*;
use i3_core::id::*;
use i3_core::store::{StoreError, StoreErrorKind};
use i3_core::time::{Clock as _, ManualClock, Timestamp};
use serde_json::{Value, json};

use crate::dialect::*;

pub(super) const SECRET: &str = "a-secret-for-brokers";
pub(super) const DEVICE: &str = "acme.sensor";
pub(super) const PASSWORD: &str = "correct horse & battery=staple";
pub(super) const AIR: &str = "i3/acme/air";
pub(super) const WATER: &str = "i3/acme/water";

pub(super) fn order() -> OrderId {
    OrderId::from_bits(7)
}

pub(super) fn device() -> DeviceId {
    DeviceId::from_bits(1)
}

fn product(topic: &str) -> ProductId {
    ProductId::from_bits(if topic == AIR { 3 } else { 4 })
}

/// What may be done. Everybody has the same password.
#[derive(Debug)]
pub(super) struct World {
    pub(super) device_active: bool,
    pub(super) publishes: Vec<&'static str>,
    /// The order's topic and whether its grant is open.
    pub(super) order: Option<(&'static str, bool)>,
    /// Whether each of its messages counts.
    pub(super) counted: bool,
    pub(super) until: Option<Timestamp>,
}

impl World {
    pub(super) fn open() -> Self {
        Self {
            device_active: true,
            publishes: vec![AIR],
            order: Some((AIR, true)),
            counted: false,
            until: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Market {
    pub(super) world: Mutex<World>,
    pub(super) down: AtomicBool,
    pub(super) clock: Arc<ManualClock>,
}

pub(super) fn start() -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000).unwrap()
}

impl Market {
    pub(super) fn new(world: World) -> Arc<Self> {
        let clock = Arc::new(ManualClock::at(start()));
        Arc::new(Self { world: Mutex::new(world), down: AtomicBool::new(false), clock })
    }

    pub(super) fn hooks(self: &Arc<Self>) -> Hooks {
        self.hooks_with(DeciderConfig { bind_client_ids: false, ..DeciderConfig::default() })
    }

    pub(super) fn hooks_with(self: &Arc<Self>, config: DeciderConfig) -> Hooks {
        let decider = Decider::new(self.clone(), self.clone(), self.clone(), self.clock.clone(), config);
        Hooks::new(decider, HookSecret::new(SECRET).unwrap())
    }

    fn reach(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "it is switched off"));
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Option<Principal> {
        let order_known = self.world.lock().unwrap().order.is_some();
        if name == DEVICE {
            return Some(Principal::Device { device: device(), hub: HubId::from_bits(2) });
        }
        (order_known && name == order().to_string())
            .then(|| Principal::Order { order: order(), buyer: UserId::from_bits(5) })
    }
}

#[async_trait]
impl Authenticator for Market {
    async fn authenticate(&self, login: Login<'_>) -> Result<Admission, LoginError> {
        self.reach()?;
        let principal = login.username.and_then(|name| self.named(name)).ok_or(LoginError::Refused)?;
        let world = self.world.lock().unwrap();
        let active = world.device_active || matches!(principal, Principal::Order { .. });
        if login.password != Some(PASSWORD.as_bytes()) || !active {
            return Err(LoginError::Refused);
        }
        Ok(Admission { principal, credential: None, until: world.until })
    }
}

#[async_trait]
impl Directory for Market {
    async fn publish_rights(&self, _: DeviceId) -> Result<Option<Vec<PublishRight>>, StoreError> {
        self.reach()?;
        let world = self.world.lock().unwrap();
        let right = |topic: &&str| PublishRight {
            product: product(topic),
            topic: topic.parse().unwrap(),
            terms: None,
        };
        Ok(world.device_active.then(|| world.publishes.iter().map(right).collect()))
    }

    async fn grant(&self, grant: GrantId) -> Result<Option<GrantView>, StoreError> {
        self.reach()?;
        let world = self.world.lock().unwrap();
        Ok(world.order.map(|(topic, open)| GrantView {
            grant,
            buyer: UserId::from_bits(5),
            product: product(topic),
            topic: topic.parse().unwrap(),
            epoch: 1,
            open: open && world.until.is_none_or(|until| self.clock.now() < until),
            counted: world.counted,
            until: world.until,
        }))
    }
}

#[async_trait]
impl Roster for Market {
    async fn principal(&self, username: &str) -> Result<Option<Principal>, StoreError> {
        self.reach()?;
        Ok(self.named(username))
    }

    async fn username(&self, principal: Principal) -> Result<Option<String>, StoreError> {
        self.reach()?;
        Ok(Some(match principal {
            Principal::Device { .. } => DEVICE.to_owned(),
            Principal::Order { order, .. } => order.to_string(),
        }))
    }

    async fn concerned(&self, _: &AccessChange) -> Result<Vec<Principal>, StoreError> {
        self.reach()?;
        Ok([DEVICE.to_owned(), order().to_string()].iter().filter_map(|name| self.named(name)).collect())
    }
}

/// A call with the secret in the path, so in the way that all brokers can.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) dialect: Dialect,
    pub(super) call: &'static str,
    pub(super) content_type: &'static str,
    pub(super) body: String,
    pub(super) secret: &'static str,
}

pub(super) const JSON: &str = "application/json";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

impl Asked {
    pub(super) async fn of(&self, hooks: &Hooks) -> HookReply {
        let verne = self.dialect == Dialect::VerneMq;
        let name = self.dialect.name();
        let path = if verne {
            format!("{name}/{}", self.secret)
        } else {
            format!("{name}/{}/{}", self.secret, self.call)
        };
        let request = HookRequest {
            path: &path,
            authorization: None,
            content_type: Some(self.content_type),
            hook: verne.then_some(self.call),
            body: Some(self.body.as_bytes()),
        };
        hooks.answer(request).await.unwrap()
    }

    /// What the broker makes of the answer.
    pub(super) async fn allowed(&self, hooks: &Hooks) -> bool {
        understood(self.dialect, self.call, &self.of(hooks).await)
    }
}

/// A form of these fields.
fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn object(fields: &[(&str, &str)]) -> String {
    let fields: BTreeMap<_, _> = fields.iter().copied().collect();
    serde_json::to_string(&fields).unwrap()
}

/// How each broker asks whether this client may connect: every dialect, form and object where it has both.
pub(super) fn logins(client_id: &str, name: &str, password: &str) -> Vec<Asked> {
    let flat = [("clientid", client_id), ("username", name), ("password", password)];
    let asked =
        |dialect, call, content_type, body| Asked { dialect, call, content_type, body, secret: SECRET };
    let verne = |clean: &str, properties: &str| {
        let mut body = json!({
            "peer_addr": "192.0.2.7", "peer_port": 40_001, "username": name, "password": password,
            "mountpoint": "", "client_id": client_id,
        });
        body[clean] = true.into();
        if !properties.is_empty() {
            body[properties] = json!({});
        }
        body.to_string()
    };
    let mut emqx: Vec<_> = flat.to_vec();
    emqx.push(("peerhost", "192.0.2.7"));
    let mut rmqtt: Vec<_> = flat.to_vec();
    rmqtt.extend([("ipaddr", "192.0.2.7"), ("protocol", "mqtt")]);
    vec![
        asked(Dialect::GoAuth, "user", JSON, object(&flat)),
        asked(Dialect::GoAuth, "user", FORM, form(&flat)),
        asked(Dialect::GoAuthText, "user", FORM, form(&flat)),
        asked(Dialect::Emqx, "authn", JSON, object(&emqx)),
        asked(Dialect::Rmqtt, "auth", JSON, object(&rmqtt)),
        asked(Dialect::Rmqtt, "auth", FORM, form(&rmqtt)),
        asked(Dialect::VerneMq, "auth_on_register", JSON, verne("clean_session", "")),
        asked(Dialect::VerneMq, "auth_on_register_m5", JSON, verne("clean_start", "properties")),
    ]
}

/// How each broker asks whether this client may do this with a topic.
pub(super) fn questions(name: &str, act: Act, topic: &str) -> Vec<Asked> {
    let asked =
        |dialect, call, content_type, body| Asked { dialect, call, content_type, body, secret: SECRET };
    let base = [("clientid", "c1"), ("username", name), ("topic", topic)];
    let with = |more: (&'static str, &'static str)| {
        let mut fields = base.to_vec();
        fields.push(more);
        fields
    };
    let acc = match act {
        Act::Receive => "1",
        Act::Publish => "2",
        Act::Subscribe => "4",
    };
    let number: u8 = acc.parse().unwrap();
    let go = json!({ "username": name, "clientid": "c1", "topic": topic, "acc": number }).to_string();
    let mut all = vec![
        asked(Dialect::GoAuth, "acl", JSON, go.clone()),
        asked(Dialect::GoAuth, "acl", FORM, form(&with(("acc", acc)))),
        asked(Dialect::GoAuthText, "acl", JSON, go),
    ];
    let (action, access) = match act {
        Act::Publish => ("publish", "2"),
        Act::Subscribe => ("subscribe", "1"),
        // Only Mosquitto asks at each delivery.
        Act::Receive => return all,
    };
    all.push(asked(Dialect::Emqx, "authz", JSON, object(&with(("action", action)))));
    all.push(asked(Dialect::Rmqtt, "acl", JSON, object(&with(("access", access)))));
    all.push(asked(Dialect::Rmqtt, "acl", FORM, form(&with(("access", access)))));
    let (calls, mut body) = match act {
        Act::Publish => (
            ["auth_on_publish", "auth_on_publish_m5"],
            json!({ "username": name, "client_id": "c1", "mountpoint": "", "qos": 1, "topic": topic,
                    "payload": "MjEuNQ==", "retain": false }),
        ),
        _ => (
            ["auth_on_subscribe", "auth_on_subscribe_m5"],
            json!({ "username": name, "client_id": "c1", "mountpoint": "",
                    "topics": [{ "topic": topic, "qos": 1 }] }),
        ),
    };
    all.push(asked(Dialect::VerneMq, calls[0], JSON, body.to_string()));
    body["properties"] = json!({});
    all.push(asked(Dialect::VerneMq, calls[1], JSON, body.to_string()));
    all
}

/// Yes or no, as the broker's documentation says that it reads the answer. An answer by which a broker would
/// ask somebody else is a failure.
pub(super) fn understood(dialect: Dialect, call: &str, reply: &HookReply) -> bool {
    let object = || serde_json::from_slice::<Value>(&reply.body).unwrap();
    let text = std::str::from_utf8(&reply.body).unwrap();
    match dialect {
        Dialect::GoAuth => {
            // Both response modes.
            let by_status = (200..300).contains(&reply.status);
            let by_object = by_status && object()["ok"] == true;
            assert_eq!(by_status, by_object, "{reply:?}");
            assert!(object()["error"].is_string());
            by_status
        }
        Dialect::GoAuthText => (200..300).contains(&reply.status) && text == "ok",
        Dialect::Emqx => {
            assert_eq!((reply.status, reply.content_type), (200, JSON), "{reply:?}");
            assert_ne!(object()["is_superuser"], true);
            match object()["result"].as_str().unwrap() {
                "allow" => true,
                "deny" => false,
                other => panic!("{other}"),
            }
        }
        Dialect::Rmqtt => {
            assert_eq!(reply.status, 200, "{reply:?}");
            // The newer versions read objects; the older take everything but these two words for a yes.
            let older = !matches!(text, "deny" | "ignore");
            let newer =
                if reply.content_type == JSON { object()["result"] == "allow" } else { text == "allow" };
            assert_eq!(older, newer, "{reply:?}");
            newer
        }
        _ => {
            assert_eq!((reply.status, reply.content_type), (200, JSON), "{reply:?}");
            let answer = object();
            if answer["result"] != "ok" {
                assert_eq!(answer["result"]["error"], "not_allowed");
                return false;
            }
            let (topics, refused) = if call.ends_with("_m5") {
                (&answer["modifiers"]["topics"], 135)
            } else {
                (&answer["topics"], 128)
            };
            topics.as_array().is_none_or(|topics| topics.iter().all(|topic| topic["qos"] != refused))
        }
    }
}

pub(super) fn soon(seconds: u64) -> Timestamp {
    start().plus(Duration::from_secs(seconds))
}
