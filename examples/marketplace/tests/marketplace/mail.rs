//! Mails from a real server process, to an SMTP server and into a folder.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::Server;
use crate::support::{PASSWORD, Rest, text};

const PATIENCE: Duration = Duration::from_mins(5);

/// One mail as it came over the wire.
#[derive(Debug, Clone)]
struct Received {
    to: String,
    data: String,
}

/// Just enough of an SMTP server (RFC 5321, section 4.1): it takes what is sent, but nothing for `nobody@…`.
struct Smtp {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Smtp {
    fn start(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = received.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                std::thread::spawn(move || talk(&stream, &kept));
            }
        });
        Self { address, received }
    }

    /// Waits for a mail to this address that says so; gives all that came until then.
    async fn mails(&self, to: &str, says: &str) -> Vec<Received> {
        let since = Instant::now();
        loop {
            let mails = self.received.lock().unwrap().clone();
            if mails.iter().any(|mail| mail.to == to && mail.data.contains(says)) {
                return mails;
            }
            assert!(since.elapsed() < PATIENCE, "only these came: {mails:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn talk(stream: &TcpStream, kept: &Mutex<Vec<Received>>) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut say = |line: &str| out.write_all(format!("{line}\r\n").as_bytes()).ok();
    let mut lines = BufReader::new(stream).lines();
    let mut to = String::new();
    say("220 test")?;
    loop {
        let line = lines.next()?.ok()?;
        let verb: String = line.chars().take(4).collect::<String>().to_uppercase();
        match verb.as_str() {
            "RCPT" if line.contains("nobody@") => say("550 there is no such mailbox")?,
            "RCPT" => {
                line.split(['<', '>']).nth(1)?.clone_into(&mut to);
                say("250 ok")?;
            }
            "DATA" => {
                say("354 go on")?;
                let mut data = String::new();
                loop {
                    let line = lines.next()?.ok()?;
                    if line == "." {
                        break;
                    }
                    data.push_str(&line);
                    data.push('\n');
                }
                kept.lock().unwrap().push(Received { to: to.clone(), data });
                say("250 taken")?;
            }
            "QUIT" => {
                say("221 bye")?;
                return Some(());
            }
            _ => say("250 ok")?,
        }
    }
}

fn start(folder: &Path, more: &[&str]) -> Server {
    let store = format!("sqlite:{}", folder.join("market.sqlite").display());
    Server::start(folder, &store, more)
}

async fn register(rest: &Rest, name: &str) -> String {
    let email = format!("{name}@example.org");
    let body = json!({"name": name, "roles": ["consumer"], "password": PASSWORD, "email": email,
                      "time_zone": "Asia/Seoul"});
    text(&rest.ask("POST", "/users").json(&body).send().await.ok()["id"])
}

#[tokio::test]
async fn a_new_user_is_mailed_of_the_approval_and_a_crash_in_between_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Reserved, and nobody answers there yet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let smtp = format!("smtp://{}", listener.local_addr().unwrap());
    let mail = ["--smtp", &smtp, "--mail-from", "I3 <i3@example.org>", "--operator-mail", "boss@example.org"];
    let approval = [&mail[..], &["--registration", "approval"]].concat();
    let server = start(folder.path(), &approval);
    let rest = server.rest();
    let id = register(&rest, "alice").await;
    let (admin, _) = rest.sign_in("admin").await;
    rest.post(&admin, format!("/users/{id}/approve"), json!({})).await.ok();
    server.kill();

    let smtp = Smtp::start(listener);
    let server = start(folder.path(), &approval);
    // The approval came before the registration was told of: it is told of as it is now.
    let mails = smtp.mails("alice@example.org", "Subject: Your account is active").await;
    for mail in mails.iter().filter(|mail| mail.to == "alice@example.org") {
        assert!(
            mail.data.contains("From: I3 <i3@example.org>") && mail.data.contains("(+09:00)"),
            "{mail:?}"
        );
        assert!(mail.data.contains("Message-ID: <usr_"), "{mail:?}");
    }
    register(&server.rest(), "bob").await;
    smtp.mails("boss@example.org", "Subject: bob waits for approval").await;
    server.end();
    assert_eq!(smtp.address.ip().to_string(), "127.0.0.1");
}

#[tokio::test]
async fn a_mailbox_that_there_is_not_holds_nobody_else_s_mail_up() {
    let folder = tempfile::tempdir().unwrap();
    let smtp = Smtp::start(TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("smtp://{}", smtp.address);
    let server = start(folder.path(), &["--smtp", &url, "--mail-from", "i3@example.org"]);
    register(&server.rest(), "nobody").await;
    register(&server.rest(), "alice").await;
    let mails = smtp.mails("alice@example.org", "Subject: ").await;
    assert!(mails.iter().all(|mail| mail.to == "alice@example.org"), "{mails:?}");
    server.end();
}

#[tokio::test]
async fn a_forgotten_password_is_mailed_into_a_folder_and_set_anew_with_the_link() {
    let folder = tempfile::tempdir().unwrap();
    let mails = folder.path().join("mails");
    let server = start(folder.path(), &["--mail-dir", mails.to_str().unwrap()]);
    let rest = server.rest();
    register(&rest, "alice").await;
    let (token, _) = rest.sign_in("alice").await;
    let forgotten = json!({"email": "Alice@example.org"});
    assert_eq!(rest.ask("POST", "/password-resets").json(&forgotten).send().await.status, 202);
    let since = Instant::now();
    let leave = loop {
        let files = std::fs::read_dir(&mails).into_iter().flatten().map(|file| file.unwrap().path());
        let files = files.filter(|file| file.extension().is_some_and(|kind| kind == "eml"));
        let written: Vec<_> = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
        // Long lines are broken (RFC 2045, section 6.7).
        let found =
            written.iter().map(|mail| mail.replace("=\r\n", "").replace("=3D", "=")).find_map(|mail| {
                let (_, rest) = mail.split_once("/password-reset?token=")?;
                Some(rest.split_whitespace().next()?.to_owned())
            });
        if let Some(found) = found {
            break found;
        }
        assert!(since.elapsed() < PATIENCE, "{written:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let body = json!({"token": leave, "password": "another horse"});
    let redeemed = rest.ask("POST", "/password-resets/redemption").json(&body).send().await;
    assert_eq!(redeemed.status, 204, "{redeemed:?}");
    rest.get(&token, "/users/me").await.is(401, "invalid_token");
    server.end();
}
