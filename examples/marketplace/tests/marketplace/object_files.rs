//! Files of virtual objects over the interface.

use std::time::Duration;

use i3_core::market::Settings;
use i3_core::store::{Digest, Entity as _, Scan};
use i3_core::virtual_object::{FileChunk, FileLimits, FileUpload};
use i3_marketplace::{AppState, Assembly, StoreUrl, router};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::mqtt::eventually;
use crate::support::{Raw, Rest, assemble, config, text};

struct House {
    assembly: Assembly,
    rest: Rest,
    maker: String,
    stranger: String,
    object: String,
}

/// How long is waited for what has to come.
const PATIENCE: Duration = Duration::from_mins(1);

const LIMITS: FileLimits = FileLimits { file_bytes: 200_000, object_bytes: 300_000 };

impl House {
    async fn open() -> Self {
        Self::with(LIMITS).await
    }

    async fn with(limits: FileLimits) -> Self {
        let mut config = config(StoreUrl::Memory);
        config.settings = Settings::default().with_files(limits);
        let (assembly, rest) = assemble(config).await;
        let (maker, _) = rest.register("maker", "provider").await;
        let (stranger, _) = rest.register("stranger", "provider").await;
        let object = json!({"kind": "sensor", "title": "Thermometer"});
        let object = rest.post(&maker, "/virtual_objects", object).await.ok();
        let object = format!("/virtual_objects/{}", text(&object["id"]));
        Self { assembly, rest, maker, stranger, object }
    }

    async fn put(&self, token: &str, name: &str, kind: &str, body: &str) -> Raw {
        let path = format!("{}/files/{name}", self.object);
        self.rest.ask("PUT", path).token(token).header("content-type", kind).text(body).send_raw().await
    }

    async fn get(&self, token: &str, name: &str) -> Raw {
        self.rest.ask("GET", format!("{}/files/{name}", self.object)).token(token).send_raw().await
    }

    async fn files(&self) -> usize {
        let object = self.rest.get(&self.maker, &self.object).await.ok();
        object["files"].as_array().map_or(0, Vec::len)
    }
}

#[track_caller]
fn refused(raw: &Raw, status: u16, code: &str) {
    assert_eq!(raw.status, status, "{}", raw.text);
    assert!(raw.text.contains(&format!("\"code\":\"{code}\"")), "{}", raw.text);
}

#[tokio::test]
async fn a_browser_saves_a_file_and_never_opens_it() {
    let house = House::open().await;
    let page = "<html><script>alert(1)</script></html>\n".repeat(4_000);
    let put = house.put(&house.maker, "gr%C3%BCn%20%26.md", "text/markdown; charset=utf-8", &page).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let got = house.get(&house.maker, "gr%C3%BCn%20%26.md").await;
    assert_eq!((got.status, got.text.as_str()), (200, page.as_str()));
    let header = |name: &str| got.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/markdown");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").contains("default-src 'none'"));
    let saved = "attachment; filename=\"gr_n &.md\"; filename*=UTF-8''gr%C3%BCn%20%26.md";
    assert_eq!(header("content-disposition"), saved);
    assert_eq!(header("content-length"), page.len().to_string());
    let tag = format!("\"{}\"", Digest::of(page.as_bytes()));
    assert_eq!(header("etag"), tag);
    let path = format!("{}/files/gr%C3%BCn%20%26.md", house.object);
    let known =
        house.rest.ask("GET", &path).token(&house.maker).header("if-none-match", tag).send_raw().await;
    assert_eq!((known.status, known.text.as_str()), (304, ""));
    let head = house.rest.ask("HEAD", &path).token(&house.maker).send_raw().await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_draft_has_no_files_for_others_and_they_attach_none() {
    let house = House::open().await;
    assert_eq!(house.put(&house.maker, "a.txt", "text/plain", "a").await.status, 200);
    refused(&house.get(&house.stranger, "a.txt").await, 404, "not_found");
    refused(&house.put(&house.stranger, "b.txt", "text/plain", "b").await, 404, "not_found");
    let submit = json!({"state": "submitted"});
    house.rest.put(&house.maker, format!("{}/state", house.object), submit).await.ok();
    assert_eq!(house.get(&house.stranger, "a.txt").await.text, "a");
    refused(&house.put(&house.stranger, "b.txt", "text/plain", "b").await, 403, "forbidden");
    let nobody = house.rest.ask("PUT", format!("{}/files/b.txt", house.object));
    let nobody = nobody.header("content-type", "text/plain").text("b").send_raw().await;
    refused(&nobody, 401, "authentication_required");
}

#[tokio::test]
async fn names_that_lead_elsewhere_types_that_lie_and_files_that_are_too_long_are_refused() {
    let house = House::open().await;
    for name in [
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e",
        ".bashrc",
        "a%0d%0aSet-Cookie:x",
        "gpj.%E2%80%AEexe",
        "a%00b",
        "a%22b",
    ] {
        let put = house.put(&house.maker, name, "text/plain", "a").await;
        assert!((400..405).contains(&put.status), "{name}: {} {}", put.status, put.text);
    }
    let long = "a".repeat(101);
    refused(&house.put(&house.maker, &long, "text/plain", "a").await, 400, "invalid_request");
    for kind in ["text/html", "image/svg+xml", "application/javascript", ""] {
        refused(&house.put(&house.maker, "a", kind, "<svg/>").await, 415, "unsupported_media_type");
    }
    for (kind, body) in [("image/png", "<svg/>"), ("application/json", "{"), ("text/csv", "a\0b")] {
        refused(&house.put(&house.maker, "a", kind, body).await, 415, "wrong_file_type");
    }
    let body = "a".repeat(200_001);
    refused(&house.put(&house.maker, "a", "text/plain", &body).await, 413, "file_too_large");
    let path = format!("{}/files/a", house.object);
    let packed = house.rest.ask("PUT", path).token(&house.maker).header("content-type", "text/plain");
    let packed = packed.header("content-encoding", "gzip").text("a").send_raw().await;
    refused(&packed, 415, "unsupported_content_encoding");
    assert_eq!(house.files().await, 0);

    assert_eq!(house.put(&house.maker, "a", "text/plain", &"a".repeat(200_000)).await.status, 200);
    refused(&house.put(&house.maker, "b", "text/plain", &"b".repeat(150_000)).await, 409, "too_many_files");
    assert_eq!(house.files().await, 1);
}

#[tokio::test]
async fn a_file_is_attached_to_what_the_client_saw() {
    let house = House::open().await;
    let seen = house.rest.ask("GET", &house.object).token(&house.maker).send().await;
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    let path = format!("{}/files/a.txt", house.object);
    let put = |body: &'static str| {
        let asked = house.rest.ask("PUT", &path).token(&house.maker).header("content-type", "text/plain");
        asked.header("if-match", tag.clone()).text(body).send()
    };
    put("first").await.ok();
    put("second").await.is(412, "precondition_failed");
    assert_eq!(house.get(&house.maker, "a.txt").await.text, "first");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let house = House::with(FileLimits { file_bytes: 4_000_000, object_bytes: 4_000_000 }).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router(AppState::from(&house.assembly));
    tokio::spawn(async move { axum::serve(listener, service).await });
    let store = house.assembly.market().store();
    let uploads = async || store.scan(&Scan::ids(FileUpload::collection())).await.unwrap().rows.len();

    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT /api/v1{}/files/a.bin HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n\
         content-type: application/octet-stream\r\ncontent-length: 3000000\r\n\r\n",
        house.object, house.maker
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![7; 1_500_000]).await.unwrap();
    assert!(eventually(PATIENCE, async || uploads().await == 1).await, "the beginning is stored");
    drop(client);
    assert!(eventually(PATIENCE, async || uploads().await == 0).await, "and removed");
    let chunks = store.scan(&Scan::ids(FileChunk::collection())).await.unwrap();
    assert_eq!((chunks.rows.len(), house.files().await), (0, 0));
}
