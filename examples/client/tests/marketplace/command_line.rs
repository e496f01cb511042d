//! The program `i3` against a marketplace.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use i3_core::gate::Metering as _;
use i3_core::id::GrantId;
use i3_core::market::Registration;
use i3_marketplace::operations;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::every_operation::WITHOUT_METHOD;
use crate::support::{House, PASSWORD, used};

/// Somebody at a terminal: with a folder for profiles, and a password in the environment.
struct Terminal {
    folder: TempDir,
    server: String,
    password: &'static str,
}

impl Terminal {
    fn at(house: &House) -> Self {
        let server = house.client.server().to_string();
        Self { folder: tempfile::tempdir().unwrap(), server, password: PASSWORD }
    }

    fn command(&self, profile: &str, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_i3"));
        for name in ["I3_TOKEN", "I3_INVITATION", "I3_LEAVE", "I3_TIMEOUT", "I3_CA_FILE"] {
            command.env_remove(name);
        }
        command
            .args(line)
            .env("I3_SERVER", &self.server)
            .env("I3_PROFILE", profile)
            .env("I3_CONFIG_DIR", self.folder.path())
            .env("I3_PASSWORD", self.password)
            .env("I3_NEW_PASSWORD", "another horse")
            .env("I3_DEVICE_PASSWORD", "a sensor's password")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, profile: &str, line: &[&str]) -> Output {
        tokio::task::block_in_place(|| self.command(profile, line).output().unwrap())
    }

    /// What it says when it was done.
    #[track_caller]
    fn says(&self, profile: &str, line: &[&str]) -> String {
        let output = self.run(profile, line);
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line:?}: {wrong}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same as JSON; nothing is null.
    #[track_caller]
    fn json(&self, profile: &str, line: &[&str]) -> Value {
        let said = self.says(profile, &[line, &["--json"]].concat());
        if said.is_empty() { Value::Null } else { serde_json::from_str(&said).unwrap() }
    }

    #[track_caller]
    fn id(&self, profile: &str, line: &[&str]) -> String {
        text(&self.json(profile, line)["id"])
    }

    /// The exit status and what was said of the failure.
    fn fails(&self, profile: &str, line: &[&str]) -> (Option<i32>, String) {
        let output = self.run(profile, line);
        assert!(output.stdout.is_empty(), "{line:?}: {}", String::from_utf8_lossy(&output.stdout));
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn write(&self, name: &str, content: &str) -> String {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Delivers as a gate does.
async fn deliver(house: &House, order: &str, messages: u64) {
    let grant = GrantId::of(order.parse().unwrap());
    let lease = house.assembly.market().open(grant, "test", messages).await.unwrap();
    house.assembly.market().close(lease.lease, messages.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_sale_by_command_line_alone() {
    let house = House::open(Registration::Open).await;
    let i3 = Terminal::at(&house);
    i3.says("admin", &["login", "admin"]);
    i3.says("sally", &["user", "register", "sally", "--roles", "provider"]);
    i3.says("sally", &["login", "sally"]);
    let hub = i3.id("sally", &["hub", "register", "acme", "Acme Weather"]);
    let device = i3.id("sally", &["device", "register", &hub, "roof", "Roof sensor"]);
    let product =
        ["product", "create", &hub, "air", "Air on the roof", "--devices", &device, "--tags", "air,roof"];
    let product = i3.id("sally", &product);
    let offer = i3.id("sally", &["offer", "publish", &product, "EUR", "fixed-count", "5", "250"]);
    i3.says("sally", &["product", "set-state", &product, "listed"]);

    let bob = i3.id("bob", &["user", "register", "bob", "--roles", "consumer"]);
    i3.says("bob", &["login", "bob"]);
    i3.says("admin", &["user", "top-up", &bob, "1000", "EUR", "--reference", "bank transfer 1"]);
    let catalogue = i3.says("bob", &["product", "catalogue", "--sort", "oldest"]);
    assert!(catalogue.contains("Air on the roof"), "{catalogue}");
    let buy = ["order", "buy", &offer, "--idempotency-key", "first-order"];
    let bought = i3.json("bob", &buy);
    assert_eq!(i3.json("bob", &buy)["order"]["id"], bought["order"]["id"], "the same request again");
    assert_eq!(bought["mqtt"]["topic"], "i3/acme/air");
    let order = text(&bought["order"]["id"]);
    deliver(&house, &order, 5).await;
    let statement = i3.says("bob", &["order", "statement", &order]);
    assert!(statement.contains("2.50 EUR"), "{statement}");
    i3.says("bob", &["order", "rate", &order, "5", "--comment", "Fresh."]);
    let balances = i3.says("bob", &["account", "balances", &bob]);
    assert!(balances.contains("7.50 EUR"), "{balances}");
    let books = i3.json("admin", &["reconcile"]);
    assert_eq!(books["differences"], json!([]));

    i3.says("bob", &["logout"]);
    let (status, said) = i3.fails("bob", &["order", "list"]);
    assert_eq!((status, said.contains("[authentication_required]")), (Some(3), true), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_can_be_done_by_command_line() {
    let house = House::open(Registration::Approval).await;
    let i3 = Terminal::at(&house);
    i3.says("admin", &["login", "admin"]);
    let guest = i3.id("guest", &["user", "register", "guest", "--roles", "consumer"]);
    i3.says("admin", &["user", "reject", &guest]);
    for (name, role) in [("seller", "provider"), ("buyer", "consumer"), ("helper", "provider")] {
        let user = i3.id(name, &["user", "register", name, "--roles", role]);
        i3.says("admin", &["user", "approve", &user]);
        i3.says(name, &["login", name]);
    }
    let id = |name: &str| i3.id(name, &["whoami"]);
    people(&i3, &id("buyer"));
    trade(&house, &i3, &id("helper"), &id("buyer")).await;
    objects(&i3);
    logins(&house, &i3).await;

    let done = house.done.lock().unwrap().clone();
    // Cookies are for browsers.
    let browsers = ["begin_session", "show_session", "end_session"];
    let missing: BTreeSet<&str> = operations()
        .iter()
        .filter(|operation| !done.contains(&(operation.method.clone(), format!("/api/v1{}", operation.path))))
        .map(|operation| operation.id)
        .filter(|id| !browsers.contains(id) && !WITHOUT_METHOD.contains(id))
        .collect();
    assert!(missing.is_empty(), "no command did this here: {missing:?}");
}

fn people(i3: &Terminal, buyer: &str) {
    i3.says("admin", &["user", "suspend", buyer]);
    i3.says("admin", &["user", "reinstate", buyer]);
    i3.says("buyer", &["login", "buyer"]);
    let described =
        ["user", "describe", buyer, "--display", "A buyer", "--time-zone", "Asia/Seoul", "--few-mails"];
    assert_eq!(i3.json("buyer", &described)["time_zone"], "Asia/Seoul");
    let edited = i3.json(
        "buyer",
        &["user", "edit", buyer, "--no-time-zone", "--domain", "farm", "--few-mails", "false"],
    );
    assert_eq!((&edited["display"], &edited["time_zone"]), (&json!("A buyer"), &Value::Null));
    assert_eq!((&edited["domain"], &edited["few_mails"]), (&json!("farm"), &Value::Null));
    i3.says("admin", &["user", "set-roles", buyer, "consumer"]);
    assert_eq!(i3.json("admin", &["user", "show", buyer])["roles"], json!(["consumer"]));
    let users =
        i3.json("admin", &["user", "list", "--state", "active", "--sort", "newest", "--limit", "2", "--all"]);
    assert_eq!((users["items"].as_array().unwrap().len(), &users["next"]), (4, &Value::Null));
    let page = i3.says("admin", &["user", "list", "--limit", "2"]);
    assert!(page.contains("there is more: --after "), "{page}");

    let invited =
        i3.json("admin", &["invitation", "create", "The club", "--roles", "provider", "--uses", "2"]);
    let token = i3.write("invitation", &text(&invited["token"]));
    let member = ["user", "register", "member", "--invitation-file", &token, "--email", "member@example.org"];
    assert_eq!(i3.json("member", &member)["state"], "active");
    let invitation = text(&invited["id"]);
    i3.says("admin", &["invitation", "show", &invitation]);
    i3.says("admin", &["invitation", "list", "--good", "true"]);
    i3.says("admin", &["invitation", "withdraw", &invitation]);

    let permissions = i3.json("admin", &["role", "permissions"]);
    let permission = text(&permissions["items"][0]["permission"]);
    i3.says("admin", &["role", "create", "auditor", "--label", "Auditor", "--permissions", &permission]);
    let shown = i3.json("admin", &["role", "show", "auditor"]);
    let tag = text(&shown["_etag"]);
    let edit =
        ["role", "edit", "auditor", "--label", "Looker", "--permissions", &permission, "--if-match", &tag];
    i3.says("admin", &edit);
    let (status, said) = i3.fails("admin", &edit);
    assert_eq!((status, said.contains("[precondition_failed]")), (Some(4), true), "{said}");
    i3.says("admin", &["role", "list"]);
    i3.says("admin", &["role", "remove", "auditor"]);

    let fan = "<urn:x:Fan> a <http://www.w3.org/2002/07/owl#Class> .";
    let fan = i3.write("fan.ttl", fan);
    let extended = i3.json("admin", &["ontology", "extend", &fan, "--remark", "Fans"]);
    let tag = text(&i3.json("admin", &["ontology", "show"])["_etag"]);
    assert_eq!((&extended["number"], &extended["remark"]), (&json!(1), &json!("Fans")));
    i3.says("admin", &["ontology", "withdraw", "--if-match", &tag]);
    assert_eq!(i3.fails("admin", &["ontology", "extend", &fan, "--if-match", &tag]).0, Some(4));
    let wrong = i3.write("wrong.ttl", "<urn:i3:ns:Offer> a <urn:i3:ns:Place> .\nno");
    assert!(i3.fails("admin", &["ontology", "extend", &wrong]).1.contains("not lawful Turtle"));
    assert_eq!(i3.json("admin", &["ontology", "version", "2"])["turtle"], json!(null));
    i3.says("admin", &["ontology", "history"]);

    for boxes in [&[][..], &["--administration"]] {
        for task in [&["inbox", "list", "--read", "false"][..], &["inbox", "state"], &["inbox", "read", "0"]]
        {
            i3.says("admin", &[task, boxes].concat());
        }
    }
    let client = ["client", "register", "Board", "--kind", "confidential", "--scopes", "api:read"];
    let uri = ["--redirect-uri", "https://board.example/back"];
    let registered = i3.json("seller", &[&client[..], &uri[..]].concat());
    let client = text(&registered["id"]);
    assert_ne!(i3.json("seller", &["client", "replace-secret", &client])["secret"], registered["secret"]);
    i3.says("seller", &["client", "edit", &client, "--label", "Panel"]);
    let described = ["client", "describe", &client, "--label", "Panel", "--scopes", "api:read"];
    i3.says("seller", &[&described[..], &uri[..]].concat());
    i3.says("seller", &["client", "set-state", &client, "disabled"]);
    assert_eq!(i3.json("seller", &["client", "show", &client])["state"], "disabled");
    i3.says("seller", &["client", "list", "--kind", "confidential"]);
    i3.says("seller", &["client", "remove", &client]);
}

async fn trade(house: &House, i3: &Terminal, helper: &str, buyer: &str) {
    let hub = &i3.id("seller", &["hub", "register", "acme", "Acme"]);
    i3.says("admin", &["hub", "set-state", hub, "suspended"]);
    i3.says("admin", &["hub", "set-state", hub, "active"]);
    let edited = i3.json("seller", &["hub", "edit", hub, "--title", "Acme and Sons"]);
    assert_eq!((&edited["title"], &edited["slug"]), (&json!("Acme and Sons"), &json!("acme")));
    i3.says("nobody", &["hub", "show", hub]);
    i3.says("seller", &["hub", "set-member", hub, helper, "viewer"]);
    i3.says("seller", &["hub", "members", hub, "--role", "owner"]);
    i3.says("admin", &["user", "hubs", helper]);
    i3.says("seller", &["hub", "remove-member", hub, helper]);

    let device = &i3.id("seller", &["device", "register", hub, "roof", "Roof sensor"]);
    let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let key = i3.write("key.pem", key);
    let credential = i3.id("seller", &["device", "add-credential", device, "--key-file", &key]);
    let edited = i3.json("seller", &["device", "edit", device, "--title", "On the roof"]);
    assert_eq!((&edited["title"], &edited["name"]), (&json!("On the roof"), &json!("roof")));
    i3.says("seller", &["device", "show", device]);
    i3.says("seller", &["device", "remove-credential", device, &credential]);
    i3.says("seller", &["device", "set-state", device, "disabled"]);
    i3.says("seller", &["device", "set-state", device, "active"]);
    i3.says("seller", &["device", "list", hub, "--state", "active", "--sort", "newest"]);

    let product = &i3.id("seller", &["product", "create", hub, "air", "Air", "--devices", device]);
    let schema = i3.write("schema.json", r#"{"type":"object"}"#);
    let sample = ["--sample-last", "3", "--sample-looks", "2", "--sample-redact", "/position"];
    let said = ["product", "describe-stream", product, "--schema", &schema];
    i3.says("seller", &[&said[..], &sample[..]].concat());
    assert_eq!(i3.json("seller", &["product", "stream", product])["sample"]["last"], 3);
    let titled = i3.write("titled.json", r#"{"title":"Air"}"#);
    let edit = ["product", "edit-stream", product, "--schema-patch", &titled, "--sample-looks", "4"];
    let edited = i3.json("seller", &edit);
    assert_eq!(edited["schema"], json!({"type": "object", "title": "Air"}));
    let sample = json!({"last": 3, "redact": ["/position"], "per_person_per_day": 4});
    assert_eq!(edited["sample"], sample);
    let edited =
        i3.json("seller", &["product", "edit-stream", product, "--no-schema", "--sample-redact", ""]);
    assert_eq!((&edited["schema"], &edited["sample"]["redact"]), (&Value::Null, &json!([])));
    i3.says("seller", &["product", "describe", product, "--title", "Good air", "--description", "Clean"]);
    i3.says("seller", &["product", "edit", product, "--tags", "air,clean", "--devices", device]);
    let free = i3.id("seller", &["offer", "publish", product, "EUR", "free", "--quota", "10"]);
    let price =
        ["offer", "publish", product, "EUR", "--term", "86400", "per-message", "20000000", "--quota", "50"];
    let offer = &i3.id("seller", &price);
    i3.says("seller", &["offer", "withdraw", &free]);
    i3.says("seller", &["offer", "list", product, "--state", "published", "--sort", "oldest"]);
    i3.says("seller", &["product", "set-state", product, "listed"]);
    i3.says("seller", &["product", "list", hub, "--state", "listed", "--sort", "newest"]);
    i3.says("nobody", &["product", "catalogue", "--sort", "oldest"]);
    i3.says("nobody", &["discover", "good", "air", "--with", "sort=newest"]);

    i3.says("buyer", &["user", "describe", buyer, "--display", "Bob", "--domain", "smart-home"]);
    used(house, product).await;
    let advice = i3.says("buyer", &["recommend", "--limit", "5"]);
    assert!(advice.contains("2 people of smart-home looked at it"), "{advice}");
    i3.says("buyer", &["product", "show", product]);
    house.assembly.write_observations().await.unwrap();
    assert!(i3.says("buyer", &["user", "events", buyer]).contains("viewed"));
    i3.says("buyer", &["user", "erase-events", buyer]);
    assert!(!i3.says("buyer", &["user", "events", buyer]).contains("viewed"));

    i3.says("admin", &["user", "top-up", buyer, "1000", "EUR"]);
    let order = &text(&i3.json("buyer", &["order", "buy", offer])["order"]["id"]);
    i3.says("buyer", &["order", "password", order]);
    i3.says("buyer", &["order", "replace-password", order]);
    let content = i3.write("ordered.json", r#"{"kind":"sensor","title":"Air"}"#);
    let object = &i3.id("seller", &["object", "create", &content, "--submit"]);
    i3.says("seller", &["object", "link", object, product]);
    i3.says("buyer", &["order", "object", order]);
    i3.says("seller", &["object", "remove", object]);
    deliver(house, order, 10).await;
    i3.says("buyer", &["order", "rate", order, "4"]);
    i3.says("nobody", &["product", "show", product]);
    i3.says(
        "nobody",
        &["product", "ratings", product, "--sort", "oldest", "--since", "2026-01-01T00:00:00Z"],
    );
    i3.says("nobody", &["product", "quality", product]);
    i3.says("buyer", &["product", "sample", product]);
    for task in ["show", "grant", "statement"] {
        i3.says("buyer", &["order", task, order]);
    }
    i3.says("seller", &["explain", "publish", device, "i3/acme/air"]);
    i3.says("buyer", &["explain", "receive", order]);
    i3.says("buyer", &["explain", "charge", order]);
    assert_eq!(i3.json("buyer", &["explain", "message", order, "1"])["code"], "unpublished");
    let told = i3.says("buyer", &["explain", "message", order, "1"]);
    for money in ["held", "captured", "fee"] {
        let line = told.lines().find(|line| line.starts_with(&format!("usage.{money} "))).unwrap();
        assert!(line.ends_with(" EUR"), "{told}");
    }
    i3.says("buyer", &["order", "cancel", order]);
    let second = text(&i3.json("buyer", &["order", "buy", offer])["order"]["id"]);
    i3.says("seller", &["order", "revoke", &second]);
    let orders = i3
        .json("buyer", &["order", "list", "--state", "cancelled", "--product", product, "--sort", "oldest"]);
    assert_eq!((&orders["items"][0]["id"], &orders["items"][1]["id"]), (&json!(order), &json!(second)));
    i3.says("admin", &["user", "orders", buyer, "--since", "2026-01-01T00:00:00Z"]);
    i3.says("seller", &["hub", "sales", hub, "--state", "active"]);
    i3.says("buyer", &["account", "balances", buyer]);
    i3.says(
        "buyer",
        &["account", "entries", buyer, "EUR", "--since", "2026-01-01T00:00:00Z", "--sort", "oldest", "--all"],
    );
    i3.says("nobody", &["health"]);
    i3.says("admin", &["events", "--limit", "5"]);
    i3.says("admin", &["audit", "list"]);
    i3.says("admin", &["audit", "denials", "--code", "forbidden", "--limit", "5"]);
    i3.says("admin", &["audit", "verify"]);
    i3.says("admin", &["reconcile"]);
}

fn objects(i3: &Terminal) {
    let content = json!({
        "kind": "sensor", "title": "Air on the roof", "protocols": ["mqtt"],
        "resources": ["mqtt://broker.example/i3/acme/air"],
    });
    let content = i3.write("object.json", &content.to_string());
    let patch = i3.write("patch.json", r#"{"tags":["air"]}"#);
    let object = &i3.id("seller", &["object", "create", &content]);
    i3.says("seller", &["object", "amend", object, &patch]);
    i3.says("seller", &["object", "replace", object, &content]);
    i3.says("seller", &["object", "history", object]);
    i3.says("seller", &["object", "version", object, "2"]);
    let guide = &i3.write("guide.txt", "How to read it");
    let attached = i3.json("seller", &["object", "file", "put", object, guide, "--type", "text/plain"]);
    let output = &i3.write("unused", "").replace("unused", "got.txt");
    i3.says("seller", &["object", "file", "get", object, "guide.txt", "--output", output]);
    assert_eq!(std::fs::read_to_string(output).unwrap(), "How to read it");
    i3.says("seller", &["object", "file", "rm", object, "guide.txt"]);
    i3.says("seller", &["object", "file", "purge", object, &text(&attached["files"][0]["sha256"])]);
    let products = i3.json("nobody", &["product", "catalogue", "--sort", "oldest"]);
    let product = text(&products["items"][0]["product"]["id"]);
    i3.says("seller", &["object", "link", object, &product]);
    i3.says("seller", &["object", "link", object]);
    i3.says("seller", &["object", "set-state", object, "submitted"]);
    i3.says("seller", &["object", "show", object]);
    let owner = i3.id("seller", &["whoami"]);
    i3.says("seller", &["object", "list", "--owner", &owner, "--protocol", "mqtt", "--sort", "oldest"]);
    i3.says("seller", &["object", "remove", object]);
}

async fn logins(house: &House, i3: &Terminal) {
    i3.says("member", &["login", "member", "--label", "Laptop", "--lifetime", "3600"]);
    let other = i3.json("member", &["token", "create", "member"]);
    let listed = i3.says("member", &["token", "list", "--json"]);
    assert!(!listed.contains(&text(&other["token"])));
    i3.says("member", &["token", "revoke", &text(&other["id"])]);
    i3.says("member", &["password", "change"]);
    i3.says("nobody", &["password", "forgot", "--name", "member"]);
    let (user, reset) = crate::every_operation::asked_reset(house).await;
    let leave = house.assembly.access().leaves.reset(user, reset);
    let leave = i3.write("leave", leave.expose());
    let password = i3.write("password", &format!("{PASSWORD}\n"));
    i3.says("nobody", &["password", "reset", "--leave-file", &leave, "--new-password-file", &password]);
    i3.says("member", &["login", "member", "--password-file", &password]);
    i3.says("member", &["logout", "--everywhere"]);
    i3.says("member", &["login", "member"]);
    i3.says("member", &["logout"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_says_what_can_be_done_about_it() {
    let house = House::open(Registration::Open).await;
    let mut i3 = Terminal::at(&house);
    let hub = <i3_core::id::HubId as i3_core::id::TypedId>::from_bits(1).to_string();
    for (line, status, code) in [
        (&["order", "list"][..], 3, "authentication_required"),
        (&["hub", "show", &hub], 3, "not_found"),
        (&["login", "admin", "--password-file", "/nowhere"], 1, "files"),
    ] {
        let (found, said) = i3.fails("nobody", line);
        assert_eq!((found, said.contains(&format!("[{code}]"))), (Some(status), true), "{line:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for line in [
        &["hub", "show", "x"][..],
        &["nonsense"],
        &["order", "rate", &hub, "9"],
        &["--server", "x", "health"],
    ] {
        assert_eq!(i3.fails("nobody", line).0, Some(2), "{line:?}");
    }
    let (status, said) = i3.fails("nobody", &["order", "list", "--json"]);
    let problem: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &problem["code"]), (Some(3), &json!("authentication_required")));

    i3.password = "a wrong password";
    let (status, said) = i3.fails("nobody", &["login", "admin"]);
    assert_eq!((status, said.contains("[invalid_credentials]")), (Some(3), true), "{said}");
    assert!(!said.contains(i3.password), "{said}");

    // Nobody is there: nothing was sent, so there is nothing to repeat.
    // A port that the system gives to nobody who wants any.
    let nobody = "127.0.0.1:1";
    let (status, said) = i3.fails("nobody", &["health", "--server", &format!("http://{nobody}")]);
    assert_eq!((status, said.contains("[unreachable]")), (Some(1), true), "{said}");
    // Somebody is there who does not answer.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", deaf.local_addr().unwrap());
    let line = [
        "hub",
        "register",
        "acme",
        "Acme",
        "--server",
        &server,
        "--timeout",
        "1",
        "--idempotency-key",
        "k-1",
    ];
    let (status, said) = i3.fails("nobody", &line);
    assert_eq!((status, said.contains("--idempotency-key k-1")), (Some(1), true), "{said}");
    let (_, said) = i3.fails("nobody", &["health", "--server", "http://192.0.2.1"]);
    assert!(said.contains("https"), "passwords go nowhere without TLS: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_kept_for_its_owner_and_its_server_alone() {
    let house = House::open(Registration::Open).await;
    let i3 = Terminal::at(&house);
    let said = i3.says("default", &["login", "admin"]);
    let file = i3.folder.path().join("default.json");
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(!said.contains(&text(&kept["token"])), "{said}");
    // The profile knows its server.
    let mut command = i3.command("default", &["whoami"]);
    let output = tokio::task::block_in_place(|| command.env_remove("I3_SERVER").output().unwrap());
    assert!(output.status.success(), "{output:?}");

    let elsewhere = House::open(Registration::Open).await;
    let (status, said) = i3.fails("default", &["whoami", "--server", elsewhere.client.server().as_str()]);
    assert_eq!(
        (status, said.contains("[authentication_required]")),
        (Some(3), true),
        "no token was sent: {said}"
    );

    let token = i3.write("token", &text(&kept["token"]));
    assert_eq!(i3.json("other", &["whoami", "--token-file", &token])["name"], "admin");
    open_to_others(&file, &i3);
    i3.says("default", &["logout"]);
    assert!(!file.exists());
}

#[cfg(unix)]
fn open_to_others(file: &Path, i3: &Terminal) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file), 0o600);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (status, said) = i3.fails("default", &["whoami"]);
    assert_eq!((status, said.contains("open to others")), (Some(1), true), "{said}");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn open_to_others(_: &Path, _: &Terminal) {}

#[tokio::test(flavor = "multi_thread")]
async fn help_tells_what_there_is_and_no_secret_of_the_environment() {
    let house = House::open(Registration::Open).await;
    let i3 = Terminal::at(&house);
    let mut waiting = vec![Vec::<String>::new()];
    let mut seen = 0;
    while let Some(way) = waiting.pop() {
        let mut line: Vec<&str> = way.iter().map(String::as_str).collect();
        line.push("--help");
        let help = i3.says("nobody", &line);
        seen += 1;
        assert!(!help.contains(PASSWORD), "{help}");
        let Some((_, commands)) = help.split_once("Commands:\n") else { continue };
        for command in commands.lines().take_while(|line| !line.is_empty()) {
            let (name, about) = command.trim().split_once("  ").unwrap_or((command.trim(), ""));
            assert!(!about.trim().is_empty() || name == "help", "{way:?} {name} says nothing of itself");
            if name != "help" {
                let mut inner = way.clone();
                inner.push(name.to_owned());
                waiting.push(inner);
            }
        }
    }
    assert!(seen > 90, "{seen} commands");
}
