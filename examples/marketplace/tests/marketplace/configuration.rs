//! A server that is told by a file what to do.

use i3_marketplace::configuration;
use serde_json::json;

use crate::process::{Server, program};
use crate::support::PASSWORD;

#[test]
fn the_configuration_in_the_repository_is_todays() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    if std::env::var_os("I3_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(file, configuration()).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == configuration(), "docs/configuration.md is not what the code says: run `make openapi`");
}

#[tokio::test]
async fn a_server_does_what_its_file_says_unless_it_is_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("i3.toml");
    // The store and the addresses are told by options here, so the file's are not used.
    std::fs::write(&file, "registration = \"invitation\"\nstore = \"nonsense:\"\nhttp = \"192.0.2.1:1\"\n")
        .unwrap();
    let file = file.to_str().unwrap();
    let guest = json!({"name": "guest", "roles": ["consumer"], "password": PASSWORD});

    let server = Server::start(folder.path(), "memory:", &["--config", file]);
    let reply = server.rest().ask("POST", "/users").json(&guest).send().await;
    reply.is(403, "invitation_needed");
    server.end();

    let server = Server::start(folder.path(), "memory:", &["--config", file, "--registration", "open"]);
    server.rest().ask("POST", "/users").json(&guest).send().await.ok();
    server.end();
}

#[test]
fn a_server_does_not_start_with_a_file_that_makes_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("i3.toml");
    std::fs::write(&file, "colour = \"blue\"\n").unwrap();
    let output = program().args(["serve", "--config"]).arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.contains("`colour`: there is no such key")),
        (Some(2), true),
        "{said}"
    );
}
