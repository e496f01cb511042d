//! How long a decision about access takes by the policy alone, on data in hand, and how long it takes to check the token
//! of a request. What a decision takes with what must be read for it is the workload `access` of the bench `stores`.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;
use i3_auth::RolePolicy;
use i3_auth::oauth2::ClientCall;
use i3_benches::exit;
use i3_benches::shop::{Shop, ShopError};
use i3_core::access::{Action, Actor, HubRole, Policy as _, Resource, Subject};
use i3_core::id::{TypedId as _, UserId};
use i3_core::market::RegisterClient;
use i3_core::oauth::ClientKind;
use i3_core::role::{RoleBook, RoleName};
use i3_marketplace::{Assembly, AssemblyConfig};

fn main() -> ExitCode {
    exit(bench())
}

fn bench() -> Result<(), ShopError> {
    let mut criterion = Criterion::default().configure_from_args();
    policy(&mut criterion);
    let scratch = tempfile::Builder::new().prefix("access").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    tokens(&mut criterion, scratch.path())?;
    criterion.final_summary();
    Ok(())
}

/// The tokens that requests come with, over the SQLite default: a person's own, which is looked up each time, and a
/// program's access token (RFC 9068), which is looked up nowhere.
fn tokens(criterion: &mut Criterion, folder: &Path) -> Result<(), ShopError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (assembly, api_token, access_token) = runtime.block_on(async {
        let config = AssemblyConfig::in_folder(folder);
        let store = config.store.open().await?;
        let shop = Shop::open(store.clone(), 1).await?;
        let assembly = Assembly::over(store, config).await?;
        let access = assembly.access();
        let (_, api_token) =
            access.tokens.issue(shop.seller(), "bench".parse()?, Duration::from_hours(1)).await?;
        let gateway = RegisterClient {
            label: "Gateway".parse()?,
            kind: ClientKind::Machine,
            scopes: ["api:read".parse()?].into(),
            redirect_uris: [].into(),
        };
        let gateway = assembly.market().execute(Actor::User(shop.seller()), None, &gateway).await?;
        let secret = access.oauth.secrets().of(&gateway).ok_or("a machine has a secret")?;
        let (id, secret) = (gateway.id, secret.expose());
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let answer = access.oauth.token(ClientCall { authorization: None, body: &body }).await?;
        Ok::<_, ShopError>((assembly, api_token, answer.access_token))
    })?;
    let access = assembly.access();
    runtime.block_on(access.tokens.authenticate(api_token.expose()))?;
    access.oauth.check(access_token.expose())?;
    let mut group = criterion.benchmark_group("token");
    group.bench_function("of a person, on SQLite", |bencher| {
        bencher.iter(|| runtime.block_on(access.tokens.authenticate(black_box(api_token.expose()))));
    });
    group.bench_function("of a program", |bencher| {
        bencher.iter(|| access.oauth.check(black_box(access_token.expose())));
    });
    group.finish();
    Ok(())
}

/// The default policy.
fn policy(criterion: &mut Criterion) {
    let user = UserId::from_bits(1);
    let roles = BTreeSet::from([RoleName::CONSUMER, RoleName::PROVIDER]);
    let subject = Subject::user(user, roles, true, &RoleBook::default());
    let cases = [
        ("purchase for oneself", Action::Purchase, Resource::of_user(user)),
        ("purchase for another", Action::Purchase, Resource::of_user(UserId::from_bits(2))),
        ("device of one's hub", Action::ManageDevices, Resource::of_hub(Some(HubRole::Manager))),
        ("device of another hub", Action::ManageDevices, Resource::of_hub(None)),
    ];
    let mut group = criterion.benchmark_group("policy");
    for (name, action, resource) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| RolePolicy.decide(black_box(&subject), black_box(action), black_box(&resource)));
        });
    }
    group.finish();
}
