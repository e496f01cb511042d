//! Programs that act for people: somebody else's client library completes each flow over a socket.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use i3_auth::oauth2::{ClientCall, ErrorCode};
use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IntrospectionUrl, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, RevocationUrl, Scope, StandardRevocableToken, TokenIntrospectionResponse,
    TokenResponse, TokenUrl,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Server;
use crate::support::{PASSWORD, Rest, assemble, config, stores, text};

const READ: &str = "api:read";
const CALLBACK: &str = "http://127.0.0.1:51004/callback";

/// One request over a connection of its own; what was answered is not looked at.
async fn send(address: SocketAddr, request: &HttpRequest) -> HttpResponse {
    let target = request.uri().path_and_query().unwrap();
    let mut bytes = format!("{} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n", request.method());
    for (name, value) in request.headers() {
        write!(bytes, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    write!(bytes, "content-length: {}\r\n\r\n", request.body().len()).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream.write_all(request.body()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let mut response = HttpResponse::new(body.as_bytes().to_vec());
    *response.status_mut() = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: oauth2::http::HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn post(path: &str, body: &str) -> HttpRequest {
    let mut request = HttpRequest::new(body.as_bytes().to_vec());
    *request.method_mut() = "POST".parse().unwrap();
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    request
}

struct World {
    _server: Server,
    address: SocketAddr,
    rest: Rest,
    /// What the server says of itself.
    metadata: Value,
    /// alice's API token, and who she is.
    alice: (String, String),
}

async fn world(folder: &Path) -> World {
    let server = Server::start(folder, "memory:", &[]);
    let rest = server.rest();
    let Rest::Server(address) = rest else { panic!("a server is a process") };
    let mut request = HttpRequest::new(Vec::new());
    *request.uri_mut() = "/.well-known/oauth-authorization-server".parse().unwrap();
    let metadata = serde_json::from_slice(send(address, &request).await.body()).unwrap();
    let alice = rest.register("alice", "consumer").await;
    World { _server: server, address, rest, metadata, alice }
}

type Library = BasicClient<EndpointSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;

impl World {
    async fn register(&self, kind: &str) -> Value {
        let uris = if kind == "machine" { json!([]) } else { json!(["http://127.0.0.1/callback"]) };
        let body = json!({
            "label": "<b>A stranger's program</b>", "kind": kind, "scopes": ["api:read", "api:write"],
            "redirect_uris": uris,
        });
        self.rest.post(&self.alice.0, "/clients", body).await.ok()
    }

    /// As the server's own metadata say.
    fn library(&self, client: &Value, how: AuthType) -> Library {
        let at = |name: &str| text(&self.metadata[name]);
        let mut library = BasicClient::new(ClientId::new(text(&client["id"]))).set_auth_type(how);
        if let Some(secret) = client["secret"].as_str() {
            library = library.set_client_secret(ClientSecret::new(secret.to_owned()));
        }
        // The library gives tokens back by https alone; the socket is the same.
        let revocation = at("revocation_endpoint").replacen("http:", "https:", 1);
        library
            .set_auth_uri(AuthUrl::new(at("authorization_endpoint")).unwrap())
            .set_token_uri(TokenUrl::new(at("token_endpoint")).unwrap())
            .set_introspection_url(IntrospectionUrl::new(at("introspection_endpoint")).unwrap())
            .set_revocation_url(RevocationUrl::new(revocation).unwrap())
            .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap())
    }

    /// Fills in the page that the request gets, and sends it off.
    async fn fill_in(&self, query: &str, more: &[(&str, &str)]) -> HttpResponse {
        let mut request = HttpRequest::new(Vec::new());
        *request.uri_mut() = format!("/oauth/authorize?{query}").parse().unwrap();
        let page = send(self.address, &request).await;
        let html = std::str::from_utf8(page.body()).unwrap();
        assert_eq!(page.status(), 200, "{html}");
        assert!(
            html.contains("&lt;b&gt;A stranger&#39;s program&lt;/b&gt;") && !html.contains("<b>A stranger")
        );
        assert_eq!(page.headers()["x-frame-options"], "DENY");
        assert_eq!(page.headers()["cache-control"], "no-store");
        // What a browser would read out of the page.
        let asked = html.split("name=\"request\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let asked = asked.replace("&amp;", "&");
        let body = form(&[&[("request", asked.as_str())], more].concat());
        send(self.address, &post("/oauth/authorize", &body)).await
    }

    async fn code(&self, library: &Library) -> (AuthorizationCode, PkceCodeVerifier) {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = library
            .authorize_url(CsrfToken::new_random)
            .add_scope(Scope::new("api:read".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        let yes = [("name", "alice"), ("password", PASSWORD), ("scope", "api:read"), ("answer", "allow")];
        let told = told(&self.fill_in(url.query().unwrap(), &yes).await);
        assert_eq!((&told["state"], &told["iss"]), (state.secret(), &text(&self.metadata["issuer"])));
        (AuthorizationCode::new(told["code"].clone()), verifier)
    }
}

/// What a redirect to the client says.
fn told(response: &HttpResponse) -> BTreeMap<String, String> {
    assert_eq!(response.status(), 303);
    let location = response.headers()["location"].to_str().unwrap();
    let query = location.strip_prefix(CALLBACK).unwrap().strip_prefix('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn a_program_acts_for_a_user_until_it_gives_its_tokens_back() {
    let folder = tempfile::tempdir().unwrap();
    let w = world(folder.path()).await;
    let address = w.address;
    let http = async |request| Ok::<_, std::convert::Infallible>(send(address, &request).await);
    let http = |request| http(request);
    for (kind, how) in [("public", AuthType::RequestBody), ("confidential", AuthType::BasicAuth)] {
        let client = w.register(kind).await;
        let library = w.library(&client, how);
        let (code, verifier) = w.code(&library).await;
        let first =
            library.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await.unwrap();
        let me = w.rest.get(first.access_token().secret(), "/users/me").await.ok();
        assert_eq!(text(&me["id"]), w.alice.1);

        // It was allowed to read, and no program manages programs.
        let token = first.access_token().secret();
        let renamed = w.rest.put(token, format!("/users/{}", w.alice.1), json!({"display": "Mallory"})).await;
        renamed.is(403, "insufficient_scope");
        w.rest.get(token, "/clients").await.is(403, "in_person_only");
        w.rest.get(token, "/tokens").await.is(403, "in_person_only");

        let second = library
            .exchange_refresh_token(first.refresh_token().unwrap())
            .request_async(&http)
            .await
            .unwrap();
        if kind == "confidential" {
            let told = library.introspect(second.access_token()).request_async(&http).await.unwrap();
            assert_eq!((told.active(), told.sub()), (true, Some(w.alice.1.as_str())));
        }
        let given_back = StandardRevocableToken::from(second.refresh_token().unwrap().clone());
        library.revoke_token(given_back).unwrap().request_async(&http).await.unwrap();
        w.rest.get(second.access_token().secret(), "/users/me").await.is(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_gateway_acts_for_its_owner_until_it_is_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let w = world(folder.path()).await;
    let address = w.address;
    let http = async |request| Ok::<_, std::convert::Infallible>(send(address, &request).await);
    let http = |request| http(request);
    let client = w.register("machine").await;
    let library = w.library(&client, AuthType::BasicAuth);
    let answer = library.exchange_client_credentials().request_async(&http).await.unwrap();
    let token = answer.access_token().secret();
    assert_eq!(text(&w.rest.get(token, "/users/me").await.ok()["id"]), w.alice.1);
    let path = format!("/clients/{}", text(&client["id"]));
    w.rest.put(&w.alice.0, format!("{path}/state"), json!({"state": "disabled"})).await.ok();
    w.rest.get(token, "/users/me").await.is(401, "invalid_token");
    let refused = library.exchange_client_credentials().request_async(&http).await;
    let Err(RequestTokenError::ServerResponse(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.error(), &BasicErrorResponseType::InvalidClient);

    w.rest.put(&w.alice.0, format!("{path}/state"), json!({"state": "active"})).await.ok();
    let replaced = w.rest.post(&w.alice.0, format!("{path}/secret"), json!({})).await.ok();
    assert_ne!(replaced["secret"], client["secret"]);
    let shown = w.rest.get(&w.alice.0, &path).await.ok();
    assert!(shown.get("secret").is_none(), "a secret is shown once");
    let library = w.library(&replaced, AuthType::RequestBody);
    assert!(library.exchange_client_credentials().request_async(&http).await.is_ok());
}

#[tokio::test]
async fn who_says_no_or_cannot_log_in_allows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let w = world(folder.path()).await;
    let client = w.register("public").await;
    let library = w.library(&client, AuthType::RequestBody);
    let (challenge, _) = PkceCodeChallenge::new_random_sha256();
    let url = library.authorize_url(CsrfToken::new_random).set_pkce_challenge(challenge).url().0;
    let query = url.query().unwrap();
    let denied = told(&w.fill_in(query, &[("answer", "deny")]).await);
    assert_eq!(denied["error"], "access_denied");
    for (name, password) in [("alice", "wrong horse"), ("nobody", PASSWORD), ("", "")] {
        let yes = [("name", name), ("password", password), ("scope", "api:read"), ("answer", "allow")];
        assert_eq!(w.fill_in(query, &yes).await.status(), 401, "{name}");
    }
    let nothing = [("name", "alice"), ("password", PASSWORD), ("answer", "allow")];
    assert_eq!(w.fill_in(query, &nothing).await.status(), 401, "no scope was allowed");

    // To an address that is not the client's nobody is sent: a page says so.
    let mut request = HttpRequest::new(Vec::new());
    let elsewhere = query.replace("51004%2Fcallback", "51004%2Felsewhere");
    assert_ne!(elsewhere, query);
    *request.uri_mut() = format!("/oauth/authorize?{elsewhere}").parse().unwrap();
    let shown = send(w.address, &request).await;
    assert_eq!(shown.status(), 400);
    assert!(!shown.headers().contains_key("location"));
}

#[tokio::test]
async fn the_public_keys_are_published_and_scopes_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let w = world(folder.path()).await;
    let mut request = HttpRequest::new(Vec::new());
    *request.uri_mut() = "/.well-known/jwks.json".parse().unwrap();
    let set: Value = serde_json::from_slice(send(w.address, &request).await.body()).unwrap();
    assert!(
        set["keys"].as_array().unwrap().iter().all(|key| key["alg"] == "EdDSA" && key.get("d").is_none())
    );
    let body = json!({"label": "x", "kind": "machine", "scopes": ["api:everything"]});
    w.rest.post(&w.alice.0, "/clients", body).await.is(400, "unknown_scope");
    w.rest.get("eyJhbGciOiJub25lIn0.e30.AA", "/users/me").await.is(401, "invalid_token");
}

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test(flavor = "multi_thread")]
async fn on_every_store_one_of_many_redeems_a_code_and_all_that_came_of_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let (assembly, rest) = assemble(config(store.clone())).await;
        let (token, alice) = rest.register("alice", "consumer").await;
        let body = json!({
            "label": "App", "kind": "public", "scopes": ["api:read"], "redirect_uris": ["http://127.0.0.1/callback"],
        });
        let client = text(&rest.post(&token, "/clients", body).await.ok()["id"]);
        let oauth = &assembly.access().oauth;
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &client),
            ("redirect_uri", CALLBACK),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        let asked = oauth.authorize(&query).await.unwrap();
        let scopes = [READ.parse().unwrap()].into();
        let location = oauth.allow(&asked, alice.parse().unwrap(), &scopes).await.unwrap();
        let (_, told) = location.expose().split_once('?').unwrap();
        let told: BTreeMap<_, _> = form_urlencoded::parse(told.as_bytes()).collect();
        let body: std::sync::Arc<str> = form(&[
            ("grant_type", "authorization_code"),
            ("client_id", &client),
            ("redirect_uri", CALLBACK),
            ("code", &told["code"]),
            ("code_verifier", VERIFIER),
        ])
        .into();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (oauth, body) = (oauth.clone(), body.clone());
            tasks.spawn(async move { oauth.token(ClientCall { authorization: None, body: &body }).await });
        }
        let answers = tasks.join_all().await;
        let given: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        let [given] = given[..] else { panic!("{store}: {answers:?}") };
        rest.get(given.access_token.expose(), "/users/me").await.is(401, "invalid_token");
        let refresh = given.refresh_token.as_ref().unwrap().expose();
        let body =
            form(&[("grant_type", "refresh_token"), ("client_id", &client), ("refresh_token", refresh)]);
        let refused = oauth.token(ClientCall { authorization: None, body: &body }).await.unwrap_err();
        assert_eq!(refused.told().code, ErrorCode::InvalidGrant, "{store}");
    }
}
