//! Programs that act for people, Thing Descriptions, and what is added to the ontology.

use std::time::Duration;

use i3_core::access::Actor;
use i3_core::id::ClientId;
use i3_core::market::{
    ChangeOntology, DescribeClient, PurgeThing, PutThing, RegisterClient, RemoveClient, RemoveThing,
    ReplaceClientSecret, SetClientState,
};
use i3_core::oauth::{Client, ClientKind, ClientState};
use i3_core::ontology::OntologyHead;
use i3_core::store::StoreExt as _;
use i3_core::thing::{Lifetime, Thing, ThingId, Visibility};

use super::{Page, Scene, World};

pub(super) async fn tables(page: &mut Page) {
    clients(page).await;
    things(page).await;
    ontology(page).await;
}

/// A program that the buyer registered.
struct Program {
    world: World,
    client: ClientId,
}

impl Scene for Program {
    const WHAT: &'static str = "An OAuth2 client";
    const STATES: &'static [&'static str] = &["active", "disabled", "suspended", "removed"];
    const NOTES: &'static str = "\
Its owner disables a client and makes it active again; who manages users suspends it, and only they take that back. While it \
is suspended its owner may describe it and replace its secret: nothing is let in by either.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let register = RegisterClient {
            label: "App".parse().unwrap(),
            kind: ClientKind::Confidential,
            scopes: ["order:view".parse().unwrap()].into(),
            redirect_uris: ["https://app.example/callback".parse().unwrap()].into(),
        };
        let client = world.run(world.buyer, &register).await.id;
        let set = |state| SetClientState { client, state };
        match state {
            "disabled" => drop(world.run(world.buyer, &set(ClientState::Disabled)).await),
            "suspended" => drop(world.run(world.admin, &set(ClientState::Suspended)).await),
            "removed" => world.run(world.buyer, &RemoveClient { client }).await,
            _ => {}
        }
        Self { world, client }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let held = self.world.f.store.get::<Client>(&self.client).await.unwrap();
        held.map_or("removed", |found| found.entity.state.as_str())
    }
}

async fn clients(page: &mut Page) {
    page.table::<Program>();
    for admin in [false, true] {
        let by = if admin { "by an administrator" } else { "by its owner" };
        let who = |s: &Program| if admin { s.world.admin } else { s.world.buyer };
        for state in [ClientState::Active, ClientState::Disabled, ClientState::Suspended] {
            page.row(&format!("to {}, {by}", state.as_str()), |s: &Program| {
                (who(s), SetClientState { client: s.client, state })
            })
            .await;
        }
        page.row(by, |s: &Program| {
            let label = Some("Another".parse().unwrap());
            (who(s), DescribeClient { client: s.client, label, scopes: None, redirect_uris: None })
        })
        .await;
        page.row(by, |s: &Program| (who(s), ReplaceClientSecret { client: s.client })).await;
        page.row(by, |s: &Program| (who(s), RemoveClient { client: s.client })).await;
    }
    page.row("once more", |s: &Program| {
        let register = RegisterClient {
            label: "App".parse().unwrap(),
            kind: ClientKind::Machine,
            scopes: ["order:view".parse().unwrap()].into(),
            redirect_uris: [].into(),
        };
        (s.world.buyer, register)
    })
    .await;
}

/// A Thing Description of the seller's.
struct Description(World);

fn id() -> ThingId {
    "urn:example:lamp".parse().unwrap()
}

fn put(visibility: Visibility, expect: Option<u32>) -> PutThing {
    PutThing {
        thing: id(),
        anonymous: false,
        document: "{\"title\":\"Lamp\"}".to_owned(),
        visibility: Some(visibility),
        lifetime: Lifetime::default(),
        expect,
    }
}

impl Scene for Description {
    const WHAT: &'static str = "A Thing Description";
    const STATES: &'static [&'static str] = &["not there", "public", "private", "over"];
    const NOTES: &'static str = "\
One whose time is over is there until it is purged, which is done now and then: until then it can be renewed. Who may not see a \
private one is told that there is none.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        match state {
            "public" => drop(world.run(world.seller, &put(Visibility::Public, None)).await),
            "private" => drop(world.run(world.seller, &put(Visibility::Private, None)).await),
            "over" => {
                let lifetime = Lifetime { ttl: Some(1_000_000), expires: None };
                world.run(world.seller, &PutThing { lifetime, ..put(Visibility::Public, None) }).await;
                world.f.pass(Duration::from_secs(1));
            }
            _ => {}
        }
        Self(world)
    }

    fn world(&self) -> &World {
        &self.0
    }

    async fn state(&self) -> &'static str {
        let held = self.0.f.store.get::<Thing>(&id().record()).await.unwrap();
        match held.map(|found| found.entity) {
            None => "not there",
            Some(thing) if thing.is_expired(self.0.f.clock_now()) => "over",
            Some(thing) if thing.visibility == Visibility::Private => "private",
            Some(_) => "public",
        }
    }
}

async fn things(page: &mut Page) {
    page.table::<Description>();
    page.row("in public", |s: &Description| (s.0.seller, put(Visibility::Public, None))).await;
    page.row("as a new one", |s: &Description| (s.0.seller, put(Visibility::Private, Some(0)))).await;
    page.row("in place of its first revision", |s: &Description| {
        (s.0.seller, put(Visibility::Private, Some(1)))
    })
    .await;
    page.row("", |s: &Description| (s.0.seller, RemoveThing { thing: id(), expect: None })).await;
    page.row("", |_: &Description| (Actor::System, PurgeThing { thing: id() })).await;
}

/// What is added to the ontology.
struct Extension(World);

fn change(turtle: Option<&str>, expect: Option<u32>) -> ChangeOntology {
    ChangeOntology { turtle: turtle.map(str::to_owned), remark: "".parse().unwrap(), expect }
}

impl Scene for Extension {
    const WHAT: &'static str = "What is added to the ontology";
    const STATES: &'static [&'static str] = &["nothing", "something", "withdrawn"];

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        if state != "nothing" {
            world.run(world.admin, &change(Some("# first"), None)).await;
        }
        if state == "withdrawn" {
            world.run(world.admin, &change(None, None)).await;
        }
        Self(world)
    }

    fn world(&self) -> &World {
        &self.0
    }

    async fn state(&self) -> &'static str {
        let held = self.0.f.store.get::<OntologyHead>(&i3_core::ontology::TheHead).await.unwrap();
        let last = self.0.f.market.ontology_extension(Actor::System).await.unwrap();
        match (held.map(|found| found.entity.number), last.turtle) {
            (None, _) => "nothing",
            (Some(_), None) => "withdrawn",
            (Some(_), Some(_)) => "something",
        }
    }
}

async fn ontology(page: &mut Page) {
    page.table::<Extension>();
    page.row("with a text", |s: &Extension| (s.0.admin, change(Some("# more"), None))).await;
    page.row("with a text, as the first", |s: &Extension| (s.0.admin, change(Some("# more"), Some(0)))).await;
    page.row("with nothing", |s: &Extension| (s.0.admin, change(None, None))).await;
}
