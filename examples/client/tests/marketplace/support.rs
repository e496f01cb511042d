//! A marketplace to ask, and what it was asked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use i3_auth::challenge::WorkSettings;
use i3_auth::password::{Cost, PasswordSettings};
use i3_client::{Client, Secret, Settings, SignIn, UserRegistration};
use i3_core::access::Actor;
use i3_core::analytics::{Interaction, Observation};
use i3_core::id::UserId;
use i3_core::market::{RegisterUser, Registration};
use i3_core::role::RoleName;
use i3_core::user::Profile;
use i3_marketplace::{AppState, Assembly, AssemblyConfig, Knowledge, StoreUrl, router};
use i3_semantic::sparql::PoolOptions;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) fn password() -> Secret {
    Secret::new(PASSWORD)
}

/// Methods and paths of what was carried out.
pub(crate) type Done = Arc<Mutex<BTreeSet<(Method, String)>>>;

async fn note(State(done): State<Done>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let response = next.run(request).await;
    if let (true, Some(path)) = (response.status().is_success(), path) {
        done.lock().unwrap().insert((method, path));
    }
    response
}

/// Answers with this, at an address of its own.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}

pub(crate) fn client_at(address: SocketAddr) -> Client {
    Client::new(Settings::new(format!("http://{address}").parse().unwrap())).unwrap()
}

/// A marketplace with the administrator `admin`.
pub(crate) struct House {
    pub(crate) assembly: Assembly,
    pub(crate) done: Done,
    /// Nobody.
    pub(crate) client: Client,
    /// The administrator.
    pub(crate) admin: Client,
}

impl House {
    pub(crate) async fn open(registration: Registration) -> Self {
        let mut config = AssemblyConfig::new(StoreUrl::Memory);
        let cost = Cost::new(8, 1, 1).unwrap();
        config.passwords = PasswordSettings { cost, ..PasswordSettings::default() };
        config.settings = config.settings.with_registration(registration).with_fee_points(1_000);
        config.captcha = Some(WorkSettings { max_number: 50, ..WorkSettings::default() });
        config.recommendations = Some(2.try_into().unwrap());
        let assembly = Assembly::open(config).await.unwrap();
        let command = RegisterUser {
            name: "admin".parse().unwrap(),
            display: "Admin".parse().unwrap(),
            email: None,
            roles: [RoleName::ADMINISTRATOR].into(),
            profile: Profile::default(),
            invitation: None,
            password: Some(assembly.access().passwords.hash(PASSWORD.as_bytes()).await.unwrap()),
        };
        assembly.market().execute(Actor::System, None, &command).await.unwrap();
        let done = Done::default();
        // No SPARQL is asked here: no worker is started.
        let worker = "no-worker";
        let knowledge =
            Knowledge::open(assembly.market().clone(), worker, PoolOptions::default()).await.unwrap();
        let state = AppState::from(&assembly).with_knowledge(knowledge);
        let app = router(state).layer(from_fn_with_state(done.clone(), note));
        let client = client_at(serve(app).await);
        let admin = sign_in(&client, "admin").await;
        Self { assembly, done, client, admin }
    }

    /// A user with this role, as whom to ask.
    pub(crate) async fn register(&self, name: &str, role: RoleName) -> (Client, UserId) {
        let user = UserRegistration {
            challenge: self.client.ask_challenge().await.unwrap().solve(),
            ..UserRegistration::new(name.parse().unwrap(), [role], password())
        };
        let user = self.client.register_user(&user).await.unwrap().id;
        (sign_in(&self.client, name).await, user)
    }
}

pub(crate) async fn sign_in(client: &Client, name: &str) -> Client {
    let signed = client.sign_in(&SignIn::new(name, password())).await.unwrap();
    client.with_token(&signed.token).unwrap()
}

/// Lets two people of the domain `smart-home` look at a product.
pub(crate) async fn used(house: &House, product: &str) -> [UserId; 2] {
    let item = product.parse().unwrap();
    let mut people = [const { None }; 2];
    for (name, person) in ["one-of-them", "the-other"].into_iter().zip(&mut people) {
        let register = RegisterUser {
            name: name.parse().unwrap(),
            display: name.parse().unwrap(),
            email: None,
            roles: [RoleName::CONSUMER].into(),
            profile: Profile { domain: Some("smart-home".parse().unwrap()), ..Profile::default() },
            invitation: None,
            password: None,
        };
        let market = house.assembly.market();
        let user = market.execute(Actor::System, None, &register).await.unwrap().id;
        let at = market.now();
        let queue = house.assembly.access().observations.as_ref().unwrap();
        queue.push(Observation { user, item, interaction: Interaction::Viewed, at });
        *person = Some(user);
    }
    house.assembly.write_observations().await.unwrap();
    people.map(Option::unwrap)
}
