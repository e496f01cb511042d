//! `i3-marketplace store` as an operator uses it: whole stores moved between SQLite and sled, stopped in the
//! middle, damaged on the way.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use i3_auth::RolePolicy;
use i3_core::access::Actor;
use i3_core::device::Device;
use i3_core::id::VirtualObjectId;
use i3_core::market::{
    AttachFile, CreateObject, CreateProduct, Marketplace, MoveProduct, NewCredential, PublishOffer, Purchase,
    RegisterDevice, RegisterHub, RegisterUser, TopUp, WhichVersion,
};
use i3_core::money::{Amount, Currency};
use i3_core::offer::Plan;
use i3_core::portable::copy;
use i3_core::product::ProductState;
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::{DynStore, MemoryStore};
use i3_core::user::User;
use i3_core::virtual_object::{Content, File, MediaType, ObjectKind};
use i3_marketplace::{StoreUrl, store_contents};
use i3_store_sql::testkit::{mariadb_or_skip, postgres_or_skip};

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_i3-marketplace"));
    for name in ["I3_STORE", "I3_DATA_DIR", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.arg("store");
    command
}

#[track_caller]
fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The last line of what it says; the lines before tell of progress.
#[track_caller]
fn fails(arguments: &[&str], status: i32) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    said.lines().last().unwrap().to_owned()
}

fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(start))
        .unwrap_or_else(|| panic!("{start} in {text}"))
        .trim()
}

async fn person(market: &Marketplace, name: &str, role: RoleName) -> User {
    let register = RegisterUser {
        name: name.parse().unwrap(),
        display: name.parse().unwrap(),
        email: None,
        roles: [role].into(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: Some(SecretHash::new("$argon2id$of-a-person")),
    };
    market.execute(Actor::Anonymous, None, &register).await.unwrap()
}

/// A marketplace in which something was sold so often.
async fn sold(store: DynStore, orders: usize) {
    let market = Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await.unwrap();
    let seller = Actor::User(person(&market, "seller", RoleName::PROVIDER).await.id);
    let buyer = person(&market, "buyer", RoleName::CONSUMER).await;
    let hub = RegisterHub { slug: "acme".parse().unwrap(), title: "Acme".parse().unwrap() };
    let hub = market.execute(seller, None, &hub).await.unwrap().id;
    let device = RegisterDevice {
        hub,
        name: "roof".parse().unwrap(),
        title: "Roof".parse().unwrap(),
        credential: NewCredential::Password { hash: SecretHash::new("$argon2id$of-a-device") },
    };
    let Device { id: device, .. } = market.execute(seller, None, &device).await.unwrap();
    let product = CreateProduct {
        hub,
        slug: "air".parse().unwrap(),
        title: "Air".parse().unwrap(),
        description: "Air".parse().unwrap(),
        tags: Vec::new(),
        devices: vec![device],
        stream: i3_core::stream::StreamDescription::default(),
    };
    let product = market.execute(seller, None, &product).await.unwrap().id;
    market.execute(seller, None, &MoveProduct { product, to: ProductState::Listed }).await.unwrap();
    let currency = Currency::EUR;
    let plan = Plan::FixedCount { messages: 10, price: Amount::new(5).unwrap() };
    let offer = PublishOffer { product, currency, plan, term_seconds: None };
    let offer = market.execute(seller, None, &offer).await.unwrap().id;
    let amount = Amount::new(1_000_000).unwrap();
    let top_up = TopUp { user: buyer.id, amount, currency, reference: "cash".to_owned() };
    market.execute(Actor::System, None, &top_up).await.unwrap();
    for order in 0..orders {
        let key = format!("order-{order}").parse().unwrap();
        market.execute(Actor::User(buyer.id), Some(&key), &Purchase { offer }).await.unwrap();
    }
}

/// A SQLite store with 1,000 orders, made once; each test has a copy of it.
fn source(folder: &Path) -> (String, PathBuf) {
    static MADE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, made) = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("source.sqlite");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        std::thread::scope(|scope| {
            let build = || {
                runtime.block_on(async {
                    let memory = Arc::new(MemoryStore::new());
                    sold(memory.clone(), 1_000).await;
                    let url: StoreUrl = format!("sqlite:{}", path.display()).parse().unwrap();
                    let file = url.open().await.unwrap();
                    copy(&*memory, &*file, &store_contents().unwrap(), &()).await.unwrap();
                });
            };
            scope.spawn(build).join().unwrap();
        });
        (folder, path)
    });
    let path = folder.join("source.sqlite");
    std::fs::copy(made, &path).unwrap();
    let log = made.with_extension("sqlite-wal");
    if log.exists() {
        std::fs::copy(log, path.with_extension("sqlite-wal")).unwrap();
    }
    (format!("sqlite:{}", path.display()), path)
}

fn place(folder: &Path, scheme: &str, name: &str) -> String {
    std::fs::create_dir_all(folder).unwrap();
    format!("{scheme}:{}", folder.join(name).display())
}

#[test]
fn a_store_is_copied_from_sqlite_to_sled_and_back_with_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (from, _) = source(folder.path());
    let wanted = line(&done(&["digest", &from]), "total").to_owned();
    let (sled, back) = (place(folder.path(), "sled", "there"), place(folder.path(), "sqlite", "back"));
    let copied = done(&["copy", &from, &sled]);
    assert_eq!(line(&copied, "digest of both:"), wanted);
    done(&["copy", &sled, &back]);
    let digest = done(&["digest", &back]);
    assert_eq!(line(&digest, "total"), wanted);
    assert!(digest.contains("user_secrets") && digest.contains("device_secrets"));
    let said = done(&["verify", &back]);
    assert!(said.ends_with("all is well\n") && said.contains("chain intact"), "{said}");
    assert!(line(&said, "ledger:").ends_with("sum EUR 0"), "{said}");
}

#[test]
fn a_store_goes_over_both_database_servers_and_back() {
    let name = "a_store_goes_over_both_database_servers_and_back";
    let (Some(postgres), Some(mariadb)) = (postgres_or_skip(name).unwrap(), mariadb_or_skip(name).unwrap())
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (from, _) = source(folder.path());
    let wanted = line(&done(&["digest", &from]), "total").to_owned();
    let mut last = from;
    for next in [
        postgres.database("moved").unwrap(),
        mariadb.database("moved").unwrap(),
        place(folder.path(), "sqlite", "back"),
    ] {
        assert_eq!(line(&done(&["copy", &last, &next]), "digest of both:"), wanted);
        assert!(done(&["verify", &next]).ends_with("all is well\n"));
        last = next;
    }
}

/// Kills a copy when it says this, if it does not end before; whether it was killed.
fn killed_at(from: &str, to: &str, percent: &str) -> bool {
    let mut child =
        program().args(["copy", from, to]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let came = said.lines().map_while(Result::ok).any(|line| line == percent);
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    assert!(came, "{percent} was not said");
    !ended.success()
}

/// Kills a copy to a new place, and then the one that goes on with it. Where this process had no time before a copy was
/// done, again, to another place.
fn stopped_copy(from: &str, folder: &Path, scheme: &str) -> String {
    for number in 0..20 {
        let to = place(folder, scheme, &format!("target-{number}"));
        let killed = ["copying: 20%", "copying: 60%"].into_iter().all(|percent| {
            killed_at(from, &to, percent) && {
                let refused = fails(&["digest", &to], 1);
                assert!(refused.starts_with("i3-marketplace: [store_unfinished] "), "{refused}");
                true
            }
        });
        if killed {
            return to;
        }
    }
    panic!("each copy is done before it can be killed");
}

#[test]
fn a_copy_killed_in_the_middle_is_refused_until_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (from, _) = source(folder.path());
    let wanted = line(&done(&["digest", &from]), "total").to_owned();
    for scheme in ["sled", "sqlite"] {
        let to = stopped_copy(&from, &folder.path().join(scheme), scheme);
        let books = Command::new(env!("CARGO_BIN_EXE_i3-marketplace"))
            .args(["reconcile", "--store", &to])
            .output()
            .unwrap();
        assert!(!books.status.success() && String::from_utf8_lossy(&books.stderr).contains("unfinished"));
        assert_eq!(line(&done(&["digest", &from]), "total"), wanted, "the source is as it was");
        let finished = done(&["copy", &from, &to]);
        assert!(finished.contains("going on with an earlier copy"), "{finished}");
        assert_eq!(line(&done(&["digest", &to]), "total"), wanted);
        done(&["verify", &to]);
    }
}

async fn market(url: &str) -> Marketplace {
    let store = url.parse::<StoreUrl>().unwrap().open().await.unwrap();
    Marketplace::open(store, Arc::new(RolePolicy), i3_auth::COLLECTIONS).await.unwrap()
}

/// A file of an object: whose, which object, which version of it, the name, the bytes.
type Kept = (Actor, VirtualObjectId, Option<WhichVersion>, &'static str, Vec<u8>);

/// Two people's objects with the same bytes, which are of many chunks, and one's earlier version with others.
async fn with_files(url: &str) -> Vec<Kept> {
    let market = market(url).await;
    let bytes = |length: usize, step: usize| -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * step % 251).unwrap()).collect()
    };
    let (common, earlier) = (bytes(3_000_000, 7), bytes(100_000, 11));
    let mut kept = Vec::new();
    for name in ["one", "two"] {
        let by = Actor::User(person(&market, name, RoleName::PROVIDER).await.id);
        let content = Content::new(ObjectKind::Sensor, "Thermometer".parse().unwrap());
        let create = CreateObject { content, hub: None, submit: false };
        let object = market.execute(by, None, &create).await.unwrap().object.id;
        for bytes in [&earlier, &common] {
            let media_type = MediaType::OctetStream;
            let mut writer = market.write_file(by, object, media_type, None).await.unwrap();
            writer.write(bytes).await.unwrap();
            let whole = writer.finish().await.unwrap();
            let file =
                File { name: "guide".parse().unwrap(), media_type, bytes: whole.bytes, sha256: whole.sha256 };
            let attach = AttachFile { object, file, expect: None, upload: Some(whole.upload) };
            let version = market.execute(by, None, &attach).await.unwrap().object.version;
            market.discard_upload(whole.upload).await.unwrap();
            kept.push((by, object, Some(WhichVersion::Number(version)), "guide", bytes.clone()));
        }
        kept.push((by, object, None, "guide", common.clone()));
    }
    kept
}

async fn has(url: &str, kept: &[Kept]) {
    let market = market(url).await;
    for (by, object, version, name, bytes) in kept {
        let mut reader = market.read_file(*by, *object, *version, &name.parse().unwrap()).await.unwrap();
        let mut read = Vec::new();
        while let Some(piece) = reader.next().await.unwrap() {
            read.extend(piece);
        }
        assert!(read == *bytes, "{version:?} has {} bytes of {}", read.len(), bytes.len());
    }
}

#[test]
fn the_files_of_objects_are_copied_and_exported_whole_and_a_part_of_them_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let from = place(folder.path(), "sqlite", "source");
    let kept = runtime.block_on(with_files(&from));
    let digest = done(&["digest", &from]);
    let wanted = line(&digest, "total");

    let copied = stopped_copy(&from, &folder.path().join("sled"), "sled");
    done(&["copy", &from, &copied]);
    assert_eq!(line(&done(&["digest", &copied]), "total"), wanted);
    assert!(done(&["verify", &copied]).ends_with("all is well\n"));

    let lines = folder.path().join("lines");
    done(&["export", &copied, lines.to_str().unwrap()]);
    let imported = place(folder.path(), "sqlite", "imported");
    let said = done(&["import", lines.to_str().unwrap(), &imported]);
    assert_eq!(line(&said, "digest without secrets:"), line(&digest, "without secrets"));
    assert!(done(&["verify", &imported]).ends_with("all is well\n"));

    // Half of the bytes, and then nothing more.
    let text = std::fs::read(&lines).unwrap();
    std::fs::write(&lines, &text[..text.len() / 2]).unwrap();
    let half = place(folder.path(), "sqlite", "half");
    assert!(fails(&["import", lines.to_str().unwrap(), &half], 1).contains("[export_truncated]"));
    assert!(fails(&["digest", &half], 1).contains("[store_unfinished]"));

    for store in [copied, imported] {
        runtime.block_on(has(&store, &kept));
    }
}

#[test]
fn a_target_with_something_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (from, _) = source(folder.path());
    let full = place(folder.path(), "sled", "full");
    done(&["copy", &from, &full]);
    for arguments in [["copy", &from, &full], ["replay", &from, &full]] {
        assert!(fails(&arguments, 1).contains("[target_not_empty]"));
    }
    let lines = folder.path().join("lines");
    let lines = lines.to_str().unwrap();
    done(&["export", &from, lines]);
    assert!(fails(&["import", lines, &full], 1).contains("[target_not_empty]"));
    assert!(fails(&["export", &from, lines], 1).contains("[file]"), "an export is not written over");
    assert!(fails(&["copy", &from, &from], 2).contains("[same_store]"));
    assert!(
        fails(&["copy", &place(folder.path(), "sled", "none"), "memory:"], 1).contains("there is no store")
    );
    assert!(fails(&["digest", "floppy:a"], 2).contains("[invalid_store_url]"));
}

#[test]
fn an_export_holds_everything_but_secrets_and_goes_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let (from, _) = source(folder.path());
    let output = run(&["export", &from, "-"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("argon2id"), "a secret was exported");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("secrets: device_secrets (1), user_secrets (2)"), "{said}");

    let to = place(folder.path(), "sled", "imported");
    let mut child = program()
        .args(["import", "-", &to])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("people need new passwords"), "{said}");
    let wanted = done(&["digest", &from]);
    assert_eq!(line(&said, "digest without secrets:"), line(&wanted, "without secrets"));
    assert!(done(&["verify", &to]).ends_with("all is well\n"));
}

#[test]
fn an_export_that_is_cut_or_changed_or_of_another_version_is_not_imported() {
    let folder = tempfile::tempdir().unwrap();
    let (from, _) = source(folder.path());
    let whole = folder.path().join("whole");
    done(&["export", &from, whole.to_str().unwrap()]);
    let text = std::fs::read_to_string(&whole).unwrap();
    let (without_end, _) = text.trim_end().rsplit_once('\n').unwrap();
    let lines = text.lines().count();
    let cases = [
        ("export_truncated", text.get(..text.len() / 2).unwrap().to_owned()),
        ("export_truncated", format!("{without_end}\n")),
        ("export_tampered", text.replacen("\"title\":\"Acme\"", "\"title\":\"Acne\"", 1)),
        (
            "export_tampered",
            text.lines()
                .filter(|line| {
                    !line.contains("fees:EUR\",\"units\"") && !line.contains("external:EUR\",\"units\"")
                })
                .collect::<Vec<_>>()
                .join("\n")
                + "\n",
        ),
        ("store_corrupt", text.replacen("\"command\":\"purchase\"", "\"command\":\"purchasf\"", 1)),
        ("export_malformed", text.replacen("{\"in\":\"users\"", "{\"in\":\"losers\"", 1)),
        ("export_malformed", text.replacen("{\"in\":\"users\"", "{\"in\":\"user_secrets\"", 1)),
        ("export_malformed", format!("{text}{text}")),
        ("export_newer", text.replacen("{\"i3_export\":1", "{\"i3_export\":2", 1)),
        ("export_newer", text.replacen("\"revision\":1", "\"revision\":9", 1)),
        ("export_malformed", "not an export\n".to_owned()),
        ("export_truncated", String::new()),
    ];
    assert!(lines > 9_000);
    for (number, (code, changed)) in cases.into_iter().enumerate() {
        assert_ne!(changed, text, "case {number} changes nothing");
        let file = folder.path().join(format!("case-{number}"));
        std::fs::write(&file, &changed).unwrap();
        let to = place(folder.path(), "sqlite", &format!("case-{number}.sqlite"));
        let said = fails(&["import", file.to_str().unwrap(), &to], 1);
        assert!(said.contains(&format!("[{code}]")), "case {number}: {said}");
        // What was begun is refused; what was not begun is empty.
        let digest = run(&["digest", &to]);
        let unfinished = String::from_utf8_lossy(&digest.stderr).contains("[store_unfinished]");
        assert!(unfinished != digest.status.success(), "case {number}: {digest:?}");
    }
}

#[test]
fn the_audit_log_alone_brings_everything_back_but_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (from, _) = source(folder.path());
    let said = done(&["replay", &from, "memory:"]);
    assert!(said.contains("user_secrets (2)"), "{said}");
    let wanted = done(&["digest", &from]);
    assert_eq!(line(&said, "digest of what is audited, in both:"), line(&wanted, "audited"));
}

#[test]
fn damage_in_the_file_is_found_and_named() {
    let sixth = "WHERE id = (SELECT id FROM orders ORDER BY id LIMIT 1 OFFSET 5)";
    for (sql, named) in [
        (
            "UPDATE balances SET n = n + 1 WHERE id LIKE 'available:%'".to_owned(),
            "difference: the balance of",
        ),
        (format!("UPDATE orders SET body = replace(body, '\"Air\"', '7') {sixth}"), "fault: orders/ord_"),
        (format!("UPDATE orders SET buyer = 'usr_nobody' {sixth}"), "fault: index orders.by_buyer"),
        (
            "UPDATE audit SET body = replace(body, 'cash', 'cage') WHERE position > 5".to_owned(),
            "chain is broken",
        ),
        ("DELETE FROM ledger_entries WHERE amount < 0 AND account LIKE 'external%'".to_owned(), "EUR sum to"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (url, path) = source(folder.path());
        let changed = rusqlite::Connection::open(&path).unwrap().execute(&sql, []).unwrap();
        assert!(changed > 0, "{sql} changes nothing");
        let output = run(&["verify", &url]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{sql}: {said}");
        assert!(said.contains(named) && said.ends_with("something is wrong\n"), "{sql}: {said}");
    }
}
