//! Roles over the interface: made, given, edited and removed while the marketplace runs.

use i3_marketplace::{Assembly, StoreUrl};
use serde_json::{Value, json};

use crate::support::{Reply, Rest, assemble, config, text};

async fn house() -> (Assembly, Rest, String) {
    let (assembly, rest) = assemble(config(StoreUrl::Memory)).await;
    let (admin, _) = rest.sign_in("admin").await;
    (assembly, rest, admin)
}

fn role(name: &str, permissions: &[&str]) -> Value {
    json!({"name": name, "label": "A role", "about": "For a test.", "permissions": permissions})
}

fn allowing(permissions: &[&str]) -> Value {
    json!({"label": "Edited", "permissions": permissions})
}

async fn give(rest: &Rest, who: &str, user: &str, roles: &[&str]) -> Reply {
    rest.put(who, format!("/users/{user}/roles"), json!({"roles": roles})).await
}

/// Asserts that this permission is what is missing, and that the rule that denied is not told.
#[track_caller]
fn lacks(reply: &Reply, permission: &str) {
    reply.is(403, "forbidden");
    let detail = text(&reply.body["detail"]);
    assert_eq!(detail, format!("the permission `{permission}` is missing"));
}

#[tokio::test]
async fn a_role_allows_what_it_says_until_it_is_edited_or_removed() {
    let (_assembly, rest, admin) = house().await;
    let (token, user) = rest.register("auditor", "consumer").await;
    lacks(&rest.get(&token, "/audit").await, "audit:view");

    let made = rest.post(&admin, "/roles", role("auditor", &["audit:view"])).await;
    assert_eq!((made.status, made.headers["location"].to_str().unwrap()), (201, "/api/v1/roles/auditor"));
    let made = made.ok();
    assert_eq!((&made["permissions"], &made["version"]), (&json!(["audit:view"]), &json!(1)));
    lacks(&rest.get(&token, "/audit").await, "audit:view");
    let given = give(&rest, &admin, &user, &["consumer", "auditor"]).await.ok();
    assert_eq!(given["roles"], json!(["consumer", "auditor"]));
    rest.get(&token, "/audit").await.ok();
    lacks(&rest.get(&token, "/users").await, "user:manage");
    lacks(&rest.post(&token, "/roles", role("mine", &["role:manage"])).await, "role:manage");

    rest.put(&admin, "/roles/auditor", allowing(&["user:manage"])).await.ok();
    lacks(&rest.get(&token, "/audit").await, "audit:view");
    rest.get(&token, "/users").await.ok();

    let removed = rest.ask("DELETE", "/roles/auditor").token(&admin).send().await;
    assert_eq!(removed.status, 204);
    lacks(&rest.get(&token, "/users").await, "user:manage");
    rest.get(&token, "/roles/auditor").await.is(404, "not_found");
    rest.post(&admin, "/roles", role("auditor", &["audit:view"])).await.is(409, "name_taken");
    give(&rest, &admin, &user, &["auditor"]).await.is(400, "invalid_request");
    rest.get(&token, "/orders").await.ok();
}

#[tokio::test]
async fn everybody_with_an_account_sees_the_roles_and_only_administrators_change_them() {
    let (_assembly, rest, admin) = house().await;
    let (consumer, _) = rest.register("buyer", "consumer").await;
    rest.post(&admin, "/roles", role("auditor", &["audit:view", "order:view"])).await.ok();
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|role| text(&role["name"])).collect()
    };
    let listed = rest.get(&consumer, "/roles").await.ok();
    assert_eq!(names(&listed), ["user", "consumer", "provider", "administrator", "auditor"]);
    rest.ask("GET", "/roles").send().await.is(401, "authentication_required");

    lacks(&rest.post(&consumer, "/roles", role("mine", &["order:create"])).await, "role:manage");
    lacks(&rest.put(&consumer, "/roles/consumer", allowing(&["account:top-up"])).await, "role:manage");
    let removal = rest.ask("DELETE", "/roles/auditor").token(&consumer).send().await;
    lacks(&removal, "role:manage");
    assert_eq!(rest.get(&consumer, "/roles").await.ok(), listed, "nothing was changed");

    let hal = |token: &str| {
        rest.ask("GET", "/roles/auditor").token(token).header("accept", "application/hal+json").send()
    };
    assert_eq!(hal(&admin).await.ok()["_links"]["i3:edit"]["href"], "/api/v1/roles/auditor");
    assert!(hal(&consumer).await.ok()["_links"]["i3:edit"].is_null());
}

#[tokio::test]
async fn a_role_that_changed_meanwhile_is_not_overwritten() {
    let (_assembly, rest, admin) = house().await;
    rest.post(&admin, "/roles", role("auditor", &["audit:view"])).await.ok();
    // A built-in role has a tag too, though nothing is stored of it yet.
    for path in ["/roles/auditor", "/roles/consumer"] {
        let seen = rest.get(&admin, path).await;
        let tag = seen.headers["etag"].to_str().unwrap().to_owned();
        let permissions = seen.ok()["permissions"].clone();
        let again = rest.ask("GET", path).token(&admin).header("if-none-match", &tag).send_raw().await;
        assert_eq!((again.status, again.text.as_str()), (304, ""));
        let put = |tag: &str, label: &str| {
            let body = json!({"label": label, "permissions": permissions});
            rest.ask("PUT", path).token(&admin).header("if-match", tag).json(&body).send()
        };
        put("\"nonsense\"", "Lost").await.is(412, "precondition_failed");
        assert_eq!(put(&tag, "First").await.ok()["label"], "First");
        put(&tag, "Lost").await.is(412, "precondition_failed");
        put("*", "Any").await.ok();
        assert_eq!(rest.get(&admin, path).await.ok()["label"], "Any");
        let removal = rest.ask("DELETE", path).token(&admin).header("if-match", tag).send().await;
        assert!([409, 412].contains(&removal.status), "{removal:?}");
        rest.get(&admin, path).await.ok();
    }
    let gone = rest.ask("PUT", "/roles/nobody").token(&admin).header("if-match", "*");
    assert_eq!(gone.json(&allowing(&[])).send().await.status, 404);
}

#[tokio::test]
async fn roles_that_make_no_sense_are_refused() {
    let (_assembly, rest, admin) = house().await;
    for bad in [
        role("Upper", &[]),
        role("a", &["no:such"]),
        role("a", &["audit:view:own"]),
        json!({"name": "a", "label": "A"}),
        json!({"name": "a", "label": "A", "permissions": [], "color": "red"}),
    ] {
        rest.post(&admin, "/roles", bad).await.is(400, "invalid_request");
    }
    let told = rest.post(&admin, "/roles", role("a", &["audit:view", "no:such"])).await;
    assert!(told.body["detail"].as_str().unwrap().contains("no:such"), "{told:?}");
    assert_eq!(told.body["errors"][0]["pointer"], "#/permissions/1", "{told:?}");
    rest.post(&admin, "/roles", role("consumer", &[])).await.is(409, "name_taken");
    let stripped = rest.put(&admin, "/roles/administrator", allowing(&["user:manage"])).await;
    stripped.is(400, "invalid_request");
    rest.ask("DELETE", "/roles/consumer").token(&admin).send().await.is(409, "wrong_state");
    rest.get(&admin, "/roles/No").await.is(400, "invalid_request");
    assert_eq!(rest.get(&admin, "/roles").await.ok()["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn every_permission_is_explained_to_anybody() {
    let (_assembly, rest, admin) = house().await;
    let listed = rest.ask("GET", "/permissions").send().await.ok();
    let items = listed["items"].as_array().unwrap();
    let all: Vec<&str> = items.iter().map(|item| item["permission"].as_str().unwrap()).collect();
    assert!(all.contains(&"order:view") && all.contains(&"role:manage"), "{all:?}");
    let own = items.iter().find(|item| item["permission"] == "order:view:own").unwrap();
    assert_eq!(own["only"], "what belongs to oneself, or to a hub that one is a member of");
    for item in items {
        assert!(item["about"].as_str().unwrap().ends_with('.'), "{item}");
        assert_eq!(item["only"].is_string(), item["permission"].as_str().unwrap().ends_with(":own"));
    }
    // What is told is what is taken.
    let made = rest.post(&admin, "/roles", role("everything", &all)).await.ok();
    assert!(made["permissions"].as_array().unwrap().contains(&json!("audit:view")));
}

#[tokio::test]
async fn one_administrator_is_always_left() {
    let (_assembly, rest, admin) = house().await;
    let me = text(&rest.get(&admin, "/users/me").await.ok()["id"]);
    let (manager, manager_id) = rest.register("manager", "consumer").await;
    rest.post(&admin, "/roles", role("staff", &["user:manage", "role:manage"])).await.ok();
    give(&rest, &admin, &manager_id, &["staff"]).await.ok();

    give(&rest, &admin, &me, &["consumer"]).await.is(409, "last_administrator");
    rest.post(&admin, format!("/users/{me}/suspend"), json!({})).await.is(400, "invalid_request");
    // Also who may all that administrators may, but is none.
    give(&rest, &manager, &me, &["consumer"]).await.is(409, "last_administrator");
    rest.post(&manager, format!("/users/{me}/suspend"), json!({})).await.is(409, "last_administrator");
    assert_eq!(rest.get(&admin, "/users/me").await.ok()["roles"], json!(["administrator"]));

    let (second, second_id) = rest.register("second", "consumer").await;
    give(&rest, &admin, &second_id, &["administrator"]).await.ok();
    give(&rest, &second, &me, &["consumer"]).await.ok();
    lacks(&give(&rest, &admin, &second_id, &["consumer"]).await, "user:manage");
    rest.get(&second, "/users").await.ok();
}

#[tokio::test]
async fn who_manages_users_gives_nobody_more_than_consumers_and_providers_have() {
    let (_assembly, rest, admin) = house().await;
    rest.post(&admin, "/roles", role("staff", &["user:manage"])).await.ok();
    let (staff, staff_id) = rest.register("staff", "consumer").await;
    give(&rest, &admin, &staff_id, &["staff"]).await.ok();
    let (_, user) = rest.register("friend", "consumer").await;
    for roles in [&["administrator"][..], &["consumer", "staff"]] {
        lacks(&give(&rest, &staff, &user, roles).await, "role:manage");
        let invitation = json!({"label": "Friends", "roles": roles});
        lacks(&rest.post(&staff, "/invitations", invitation).await, "role:manage");
    }
    lacks(&give(&rest, &staff, &staff_id, &["staff", "administrator"]).await, "role:manage");
    give(&rest, &staff, &user, &["consumer", "provider"]).await.ok();
}
