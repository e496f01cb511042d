//! A marketplace in which every operation of the interface can be carried out, and a request for each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use i3_core::market::{Registration, Settings};
use i3_core::store::Digest;
use i3_marketplace::{AppState, Assembly, AssemblyConfig, Knowledge, Operation, StoreUrl, router};
use serde_json::{Value, json};

use crate::support::{Asked, DEVICE_LOGIN, PASSWORD, Rest, assemble, config, patient, text};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caller {
    Anonymous,
    /// A consumer and a provider who have nothing to do with what is asked about.
    Consumer,
    Provider,
    Seller,
    Buyer,
    /// Programs that act for them, with all scopes.
    SellersProgram,
    BuyersProgram,
    AdminsProgram,
    Administrator,
}

impl Caller {
    /// The program that acts for this person.
    pub(crate) fn program(self) -> Self {
        match self {
            Self::Seller => Self::SellersProgram,
            Self::Buyer | Self::Anonymous => Self::BuyersProgram,
            _ => Self::AdminsProgram,
        }
    }
}

/// A request that is carried out if its party sends it.
pub(crate) struct Sample {
    pub(crate) party: Caller,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

fn settings(store: StoreUrl) -> AssemblyConfig {
    let mut config = config(store);
    config.settings = Settings::default().with_registration(Registration::Approval);
    config.recommendations = Some(i3_core::analytics::LeastPeople::default());
    if let StoreUrl::Sqlite(path) | StoreUrl::Sled(path) = &config.store {
        config.master_key = Some(path.with_extension("key"));
    }
    config
}

pub(crate) struct Everything {
    /// `None` between two servers.
    assembly: Option<Assembly>,
    pub(crate) rest: Rest,
    tokens: BTreeMap<Caller, String>,
    ids: BTreeMap<&'static str, String>,
    /// Of [`PROGRAMS`].
    secrets: Vec<String>,
}

const PROGRAMS: [(Caller, &str); 3] = [
    (Caller::Seller, "sellers-client"),
    (Caller::Buyer, "buyers-client"),
    (Caller::Administrator, "admins-client"),
];

/// Whether this operation asks the index, and nothing else.
pub(crate) fn asks_the_index(operation: &Operation) -> bool {
    ["discover", "show_ontology", "sparql", "sparql_by_post"].contains(&operation.id)
}

impl Everything {
    pub(crate) async fn open(store: StoreUrl) -> Self {
        let (assembly, rest) = assemble(settings(store)).await;
        let (admin, admin_id) = rest.sign_in("admin").await;
        let mut this = Self {
            assembly: Some(assembly),
            rest,
            tokens: [(Caller::Administrator, admin)].into(),
            ids: [("admin", admin_id)].into(),
            secrets: Vec::new(),
        };
        for (caller, name, role) in [
            (Caller::Seller, "seller", "provider"),
            (Caller::Buyer, "buyer", "consumer"),
            (Caller::Consumer, "consumer", "consumer"),
            (Caller::Provider, "provider", "provider"),
        ] {
            let id = this.join(name, role).await;
            let (token, _) = this.rest.sign_in(name).await;
            this.tokens.insert(caller, token);
            this.ids.insert(name, id);
        }
        let member = this.join("member", "consumer").await;
        this.ids.insert("member", member);
        let suspended = this.join("suspended", "consumer").await;
        this.make(Caller::Administrator, "POST", &format!("/users/{suspended}/suspend"), json!({})).await;
        this.ids.insert("suspended", suspended);
        let pending = this.register("pending", "consumer").await;
        this.ids.insert("pending", pending);
        this.stock().await;
        this.trade().await;
        this.register_programs().await;
        this
    }

    pub(crate) fn assembly(&self) -> &Assembly {
        self.assembly.as_ref().unwrap()
    }

    async fn register(&self, name: &str, role: &str) -> String {
        let email = format!("{name}@example.org");
        let body = json!({"name": name, "roles": [role], "password": PASSWORD, "email": email, "domain": "smart-home"});
        text(&self.rest.ask("POST", "/users").json(&body).send().await.ok()["id"])
    }

    async fn join(&self, name: &str, role: &str) -> String {
        let id = self.register(name, role).await;
        self.make(Caller::Administrator, "POST", &format!("/users/{id}/approve"), json!({})).await;
        id
    }

    /// Asks for what has to be done.
    async fn make(&self, caller: Caller, method: &str, path: &str, body: Value) -> Value {
        self.ask(caller, method, path).json(&body).send().await.ok()
    }

    /// Asks for what has to be done, and keeps its id under this name.
    async fn keep(&mut self, name: &'static str, caller: Caller, method: &str, path: &str, body: Value) {
        let made = self.make(caller, method, path, body).await;
        self.ids.insert(name, text(&made["id"]));
    }

    pub(crate) fn id(&self, name: &str) -> &str {
        self.ids.get(name).unwrap_or_else(|| panic!("nothing is called {name}"))
    }

    /// What sellers, makers and administrators have.
    async fn stock(&mut self) {
        use Caller::{Administrator, Seller};
        self.keep("hub", Seller, "POST", "/hubs", json!({"slug": "acme", "title": "Acme"})).await;
        let hub = format!("/hubs/{}", self.id("hub"));
        let member = format!("{hub}/members/{}", self.id("member"));
        self.make(Seller, "PUT", &member, json!({"role": "viewer"})).await;
        let secret = json!({"kind": "password", "password": PASSWORD});
        let device = json!({"name": "sensor", "title": "A sensor", "credential": secret});
        let device = self.make(Seller, "POST", &format!("{hub}/devices"), device).await;
        assert_eq!(device["auth_id"], DEVICE_LOGIN);
        self.ids.insert("device", text(&device["id"]));
        self.ids.insert("credential", text(&device["credentials"][0]["id"]));
        let product = json!({
            "slug": "air", "title": "Air", "description": "Air quality", "tags": ["air"],
            "devices": [self.id("device")], "sample": {"last": 1, "per_person_per_day": 100},
        });
        let product = self.make(Seller, "POST", &format!("{hub}/products"), product).await;
        self.ids.insert("product", text(&product["id"]));
        self.ids.insert("topic", text(&product["topic"]));
        let product = format!("/products/{}", self.id("product"));
        let offer = json!({"currency": "EUR", "plan": {"kind": "free"}});
        self.keep("offer", Seller, "POST", &format!("{product}/offers"), offer).await;
        self.make(Seller, "PUT", &format!("{product}/state"), json!({"state": "listed"})).await;

        let object = json!({
            "kind": "sensor", "title": "A thermometer", "protocols": ["http"], "methods": [{"name": "Read"}],
            "resources": ["http://sensor.example/"],
        });
        self.keep("object", Seller, "POST", "/virtual_objects", object).await;
        let state = format!("/virtual_objects/{}/state", self.id("object"));
        self.make(Seller, "PUT", &state, json!({"state": "submitted"})).await;

        let fan = "<urn:x:Fan> a <http://www.w3.org/2002/07/owl#Class> .";
        self.make(Administrator, "PUT", "/ontology/extension", json!({"turtle": fan})).await;
        self.attach_files().await;
        let link = format!("/virtual_objects/{}/product", self.id("object"));
        self.make(Seller, "PUT", &link, json!({"product": self.id("product")})).await;

        let role = json!({"name": "auditor", "label": "Auditor", "permissions": ["audit:view"]});
        self.make(Administrator, "POST", "/roles", role).await;
        let invitation = json!({"label": "The club", "roles": ["consumer"]});
        self.keep("invitation", Administrator, "POST", "/invitations", invitation).await;
    }

    /// A file that the object has, and one that it had.
    async fn attach_files(&self) {
        for name in ["old.txt", "guide.txt"] {
            let path = format!("/virtual_objects/{}/files/{name}", self.id("object"));
            let asked = self.ask(Caller::Seller, "PUT", &path).header("content-type", "text/plain");
            asked.text(name.to_owned()).send().await.ok();
        }
        let old = format!("/virtual_objects/{}/files/old.txt", self.id("object"));
        self.ask(Caller::Seller, "DELETE", &old).send().await.ok();
    }

    /// What a buyer has.
    async fn trade(&mut self) {
        let top_ups = format!("/users/{}/top-ups", self.id("buyer"));
        let payment = json!({"amount": 500, "currency": "EUR"});
        self.make(Caller::Administrator, "POST", &top_ups, payment).await;
        let bought = self.make(Caller::Buyer, "POST", "/orders", json!({"offer": self.id("offer")})).await;
        self.ids.insert("order", text(&bought["order"]["id"]));
        let listed = self.ask(Caller::Buyer, "GET", "/tokens").send().await.ok();
        self.ids.insert("token", text(&listed["items"][0]["id"]));
    }

    async fn register_programs(&mut self) {
        for (owner, name) in PROGRAMS {
            let body = json!({"label": "A program", "kind": "machine", "scopes": ["api:read", "api:write"]});
            let client = self.make(owner, "POST", "/clients", body).await;
            self.ids.insert(name, text(&client["id"]));
            self.secrets.push(text(&client["secret"]));
        }
    }

    /// The programs get their tokens, once the second is over in which their owners were approved: until then
    /// these would be void.
    pub(crate) async fn with_programs(mut self) -> Self {
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        self.renew().await;
        self
    }

    /// The programs get new tokens. They last for five minutes, and a slow machine may need longer.
    pub(crate) async fn renew(&mut self) {
        for ((owner, name), secret) in PROGRAMS.into_iter().zip(&self.secrets) {
            let token = self.token_of(self.id(name), secret).await;
            self.tokens.insert(owner.program(), token);
        }
    }

    /// Puts a program with these scopes, and no others, in the place of the one that acts for this person.
    pub(crate) async fn bind(&mut self, owner: Caller, scopes: &[&str]) {
        let body = json!({"label": "A bounded program", "kind": "machine", "scopes": scopes});
        let client = self.make(owner, "POST", "/clients", body).await;
        let (id, secret) = (text(&client["id"]), text(&client["secret"]));
        let token = self.token_of(&id, &secret).await;
        self.tokens.insert(owner.program(), token);
    }

    async fn token_of(&self, id: &str, secret: &str) -> String {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let asked = self.rest.ask_at("POST", "/oauth/token").text(form);
        let asked = asked.header("content-type", "application/x-www-form-urlencoded");
        text(&asked.send().await.ok()["access_token"])
    }

    /// The same with the index of what things are, for [`asks_the_index`].
    pub(crate) async fn with_knowledge(mut self) -> Self {
        let program = env!("CARGO_BIN_EXE_i3-marketplace");
        let market = self.assembly().market().clone();
        let knowledge = Knowledge::open(market, program, patient()).await.unwrap();
        self.rest = Rest::Router(router(AppState::from(self.assembly()).with_knowledge(knowledge)));
        self
    }

    /// A request of this caller's.
    pub(crate) fn ask<'a>(&'a self, caller: Caller, method: &'a str, path: impl AsRef<str>) -> Asked<'a> {
        let asked = self.rest.ask(method, path);
        let Some(token) = self.tokens.get(&caller) else {
            assert_eq!(caller, Caller::Anonymous);
            return asked;
        };
        asked.token(token)
    }

    /// This caller's request for this operation.
    pub(crate) fn request<'a>(&'a self, operation: &'a Operation, caller: Caller) -> Asked<'a> {
        let sample = self.sample(operation);
        let asked = self.ask(caller, operation.method.as_str(), &sample.path);
        match sample.body {
            Some(Value::String(text)) => {
                let kind = if operation.method == "PUT" { "text/plain" } else { "application/sparql-query" };
                asked.header("content-type", kind).text(text)
            }
            Some(body) if operation.method == "PATCH" => {
                asked.header("content-type", "application/merge-patch+json").text(body.to_string())
            }
            Some(body) => asked.json(&body),
            None => asked,
        }
    }

    /// What its party asks of this operation.
    pub(crate) fn sample(&self, operation: &Operation) -> Sample {
        let (party, more, body) = self.arguments(operation.id);
        let mut path = String::new();
        for part in operation.path.split('/').skip(1) {
            path.push('/');
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => {
                    let named = more.iter().find(|(key, _)| *key == name);
                    path.push_str(named.map_or_else(|| self.id(name), |(_, value)| value));
                }
                None => path.push_str(part),
            }
        }
        if let Some((_, query)) = more.iter().find(|(key, _)| *key == "?") {
            path.push('?');
            path.push_str(query);
        }
        Sample { party, path, body }
    }

    #[expect(clippy::too_many_lines, clippy::match_same_arms, reason = "a table by subject")]
    fn arguments(&self, operation: &str) -> (Caller, Vec<(&'static str, String)>, Option<Value>) {
        use Caller::{Administrator, Anonymous, Buyer, Seller};
        let is = |what: &'static str, name: &str| (what, self.id(name).to_owned());
        let buyer = || vec![is("user", "buyer")];
        let product = || json!({"title": "Fresh air", "description": "Air quality", "tags": ["air"]});
        let client = || vec![is("client", "sellers-client")];
        let credential = || json!({"kind": "password", "password": "another password"});
        match operation {
            "list_balances" => (Buyer, vec![is("holder", "buyer")], None),
            "list_entries" => (Buyer, vec![is("holder", "buyer"), ("?", "currency=EUR".to_owned())], None),
            "list_administration_notices" | "administration_inbox_state" => (Administrator, vec![], None),
            "read_administration_notices" => (Administrator, vec![], Some(json!({"position": 1}))),
            "list_audit" | "list_denials" | "verify_audit" | "list_events" | "reconcile" => {
                (Administrator, vec![], None)
            }
            "ask_challenge" | "health" => (Anonymous, vec![], None),

            "list_clients" => (Seller, vec![], None),
            "register_client" => {
                let body = json!({"label": "Another", "kind": "machine", "scopes": ["api:read"]});
                (Seller, vec![], Some(body))
            }
            "show_client" | "remove_client" | "replace_client_secret" => (Seller, client(), None),
            "edit_client" => (Seller, client(), Some(json!({"label": "Renamed"}))),
            "describe_client" => {
                (Seller, client(), Some(json!({"label": "Renamed", "scopes": ["api:read"]})))
            }
            "set_client_state" => (Seller, client(), Some(json!({"state": "disabled"}))),

            "show_device" | "remove_credential" => (Seller, vec![], None),
            "add_credential" => (Seller, vec![], Some(json!({"credential": credential()}))),
            "set_device_state" => (Seller, vec![], Some(json!({"state": "disabled"}))),
            "explain_publish" => (Seller, vec![("?", format!("topic={}", self.id("topic")))], None),
            "explain_receive" | "explain_charge" => (Buyer, vec![], None),
            "explain_message" => (Buyer, vec![("number", "1".to_owned())], None),

            "register_hub" => (Seller, vec![], Some(json!({"slug": "beta", "title": "Beta"}))),
            "show_hub" => (Anonymous, vec![], None),
            "list_devices" | "list_members" | "list_sales" | "list_products" => (Seller, vec![], None),
            "edit_hub" => (Seller, vec![], Some(json!({"title": "Acme and Sons"}))),
            "edit_device" => (Seller, vec![], Some(json!({"title": "On the roof"}))),
            "register_device" => {
                let body = json!({"name": "second", "title": "Second", "credential": credential()});
                (Seller, vec![], Some(body))
            }
            "remove_member" => (Seller, vec![is("user", "member")], None),
            "set_member" => (Seller, vec![is("user", "member")], Some(json!({"role": "manager"}))),
            "create_product" => {
                let body = json!({
                    "slug": "noise", "title": "Noise", "description": "", "devices": [self.id("device")],
                });
                (Seller, vec![], Some(body))
            }
            "set_hub_state" => (Administrator, vec![], Some(json!({"state": "suspended"}))),

            "list_notices" | "inbox_state" => (Buyer, vec![], None),
            "read_notices" => (Buyer, vec![], Some(json!({"position": 1}))),
            "list_invitations" | "show_invitation" | "withdraw_invitation" => (Administrator, vec![], None),
            "invite" => (Administrator, vec![], Some(json!({"label": "Others"}))),

            "list_orders"
            | "show_order"
            | "cancel_order"
            | "show_grant"
            | "show_order_password"
            | "replace_order_password"
            | "show_statement"
            | "show_ordered_object" => (Buyer, vec![], None),
            "purchase" => (Buyer, vec![], Some(json!({"offer": self.id("offer")}))),
            "rate" => (Buyer, vec![], Some(json!({"stars": 4}))),
            "revoke_grant" | "withdraw_offer" => (Seller, vec![], None),

            "ask_password_reset" => (Anonymous, vec![], Some(json!({"name": "buyer"}))),
            "reset_password" => {
                (Anonymous, vec![], Some(json!({"token": "i3_leave_x", "password": "another password"})))
            }
            "change_password" => {
                (Buyer, buyer(), Some(json!({"present": PASSWORD, "password": "another password"})))
            }
            "list_permissions" | "list_catalogue" | "show_product" | "list_offers" | "show_quality"
            | "list_ratings" | "show_stream" => (Anonymous, vec![], None),
            "show_sample" => (Buyer, vec![], None),
            "edit_product" => (Seller, vec![], Some(json!({"title": "Fresh air"}))),
            "describe_product" => (Seller, vec![], Some(product())),
            "publish_offer" => {
                (Seller, vec![], Some(json!({"currency": "EUR", "plan": {"kind": "free", "quota": 9}})))
            }
            "set_product_state" => (Seller, vec![], Some(json!({"state": "paused"}))),
            "edit_stream" => (Seller, vec![], Some(json!({"schema": {"title": "Air"}, "sample": null}))),
            "describe_stream" => (Seller, vec![], Some(json!({"schema": {"type": "object"}}))),

            "list_roles" => (Buyer, vec![], None),
            "show_role" => (Buyer, vec![("role", "auditor".to_owned())], None),
            "create_role" => {
                let body = json!({"name": "helper", "label": "Helper", "permissions": ["user:view"]});
                (Administrator, vec![], Some(body))
            }
            "edit_role" => {
                let body = json!({"label": "Auditor", "permissions": ["audit:view", "user:view"]});
                (Administrator, vec![("role", "auditor".to_owned())], Some(body))
            }
            "remove_role" => (Administrator, vec![("role", "auditor".to_owned())], None),

            "begin_session" | "sign_in" => {
                (Anonymous, vec![], Some(json!({"name": "buyer", "password": PASSWORD})))
            }
            "end_session" => (Anonymous, vec![], None),
            "show_session" | "list_tokens" | "end_logins" | "sign_out" | "revoke_token" => {
                (Buyer, vec![], None)
            }

            "register_user" => {
                let body = json!({"name": "newcomer", "roles": ["consumer"], "password": PASSWORD});
                (Anonymous, vec![], Some(body))
            }
            "list_users" => (Administrator, vec![], None),
            "show_me" => (Buyer, vec![], None),
            "show_user" | "list_memberships" | "list_user_orders" => (Buyer, buyer(), None),
            "list_user_events" | "erase_user_events" => (Buyer, buyer(), None),
            "list_recommendations" => (Buyer, vec![], None),
            "edit_user" => (Buyer, buyer(), Some(json!({"domain": "smart-home", "time_zone": null}))),
            "describe_user" => (Buyer, buyer(), Some(json!({"display": "A buyer"}))),
            "approve_user" | "reject_user" => (Administrator, vec![is("user", "pending")], None),
            "reinstate_user" => (Administrator, vec![is("user", "suspended")], None),
            "suspend_user" => (Administrator, vec![is("user", "member")], None),
            "set_roles" => (Administrator, buyer(), Some(json!({"roles": ["consumer", "provider"]}))),
            "top_up" => (Administrator, buyer(), Some(json!({"amount": 100, "currency": "EUR"}))),

            "list_virtual_objects"
            | "show_virtual_object"
            | "list_virtual_object_versions"
            | "list_virtual_object_blocks"
            | "describe_virtual_object"
            | "model_virtual_object"
            | "show_catalogue" => (Anonymous, vec![], None),
            "show_virtual_object_version" => (Anonymous, vec![("version", "1".to_owned())], None),
            "create_virtual_object" => (Seller, vec![], Some(json!({"kind": "actuator", "title": "A lamp"}))),
            "replace_virtual_object" => {
                (Seller, vec![], Some(json!({"kind": "sensor", "title": "A good thermometer"})))
            }
            "amend_virtual_object" => (Seller, vec![], Some(json!({"title": "A good thermometer"}))),
            "remove_virtual_object" => (Seller, vec![], None),
            "set_virtual_object_state" => (Seller, vec![], Some(json!({"state": "deprecated"}))),
            "link_virtual_object" => (Seller, vec![], Some(json!({"product": self.id("product")}))),

            "download_virtual_object_file" => (Anonymous, vec![("file", "guide.txt".to_owned())], None),
            "attach_virtual_object_file" => {
                (Seller, vec![("file", "more.txt".to_owned())], Some(json!("More of it")))
            }
            "detach_virtual_object_file" => (Seller, vec![("file", "guide.txt".to_owned())], None),
            "purge_virtual_object_file" => {
                (Seller, vec![("sha256", Digest::of(b"old.txt").to_string())], None)
            }

            "discover" => (Anonymous, vec![("?", "q=thermometer".to_owned())], None),
            "show_ontology" => (Anonymous, vec![], None),
            "show_ontology_extension" | "list_ontology_versions" | "withdraw_ontology_extension" => {
                (Administrator, vec![], None)
            }
            "extend_ontology" => {
                (Administrator, vec![], Some(json!({"turtle": "# nothing more", "remark": "Less"})))
            }
            "show_ontology_version" => (Administrator, vec![("version", "1".to_owned())], None),
            "sparql" => (Anonymous, vec![("?", "query=ASK%20%7B%7D".to_owned())], None),
            "sparql_by_post" => (Anonymous, vec![], Some(json!("ASK {}"))),

            unknown => panic!("`{unknown}` has no sample: say here how it is asked for and by whom"),
        }
    }

    /// The server goes; returns when its store can be opened again.
    pub(crate) async fn leave(&mut self, store: &StoreUrl) {
        self.rest = Rest::Router(axum::Router::new());
        drop(self.assembly.take());
        let since = Instant::now();
        // What it does behind a request still has the store.
        while let Err(error) = store.open().await {
            assert!(since.elapsed() < Duration::from_mins(1), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The server goes, and another is started over its store.
    pub(crate) async fn open_again(&mut self, store: StoreUrl) {
        self.rest = Rest::Router(axum::Router::new());
        drop(self.assembly.take());
        let since = Instant::now();
        let assembly = loop {
            match Assembly::open(settings(store.clone())).await {
                Ok(assembly) => break assembly,
                // What the first one does behind a request still has the store.
                Err(error) => assert!(since.elapsed() < Duration::from_mins(1), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        self.rest = Rest::Router(router(AppState::from(&assembly)));
        self.assembly = Some(assembly);
    }
}
