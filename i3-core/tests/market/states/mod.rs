//! Every state of every record with every command that touches it: `docs/states.md` has what comes of it.
//!
//! Each cell is a world of its own, brought into the state by commands. Then one more command is sent, by somebody who
//! may: it is carried out, or it is refused with this text and has changed nothing.

mod buying;
mod objects;
mod people;
mod programs;
mod selling;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::id::{RandomIds, UserId};
use i3_core::market::{Command, Commands, Marketplace, Refusal, RegisterUser, Settings};
use i3_core::offer::Plan;
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::user::Profile;

use crate::fixture::{DenyAll, Fixture, refusal};
use crate::moves::digest_of;

/// Tells apart who runs the marketplace, who is active, and who has no account: whose a thing is does not matter here.
#[derive(Debug)]
struct House;

impl Policy for House {
    fn decide(&self, subject: &Subject, action: Action, _: &Resource) -> Decision {
        let runs = subject.actor == Actor::System || subject.roles.contains(&RoleName::ADMINISTRATOR);
        let inactive = matches!(subject.actor, Actor::User(_)) && !subject.active;
        let allowed = match action {
            _ if inactive => false,
            Action::RegisterUser | Action::RecoverPassword => true,
            Action::ManageUsers
            | Action::ManageRoles
            | Action::ManageOntology
            | Action::TopUp
            | Action::Meter
            | Action::PublishVirtualObject => runs,
            _ => subject.actor != Actor::Anonymous,
        };
        if allowed { Decision::allow("the house allows it") } else { Decision::deny("the house denies it") }
    }
}

/// The fixture's marketplace three times: where everything is allowed, to bring things into states; where the
/// house decides; and where nothing is allowed.
struct World {
    f: Fixture,
    asked: Marketplace,
    denied: Marketplace,
    admin: Actor,
    seller: Actor,
    buyer: Actor,
}

impl World {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let f = Fixture::new().await;
        let open = async |policy: Arc<dyn Policy>| {
            Marketplace::open(f.store.clone(), policy, &[])
                .await
                .unwrap()
                .with_clock(f.clock.clone())
                .with_ids(Arc::new(RandomIds))
                .with_settings(settings.clone())
        };
        let (asked, denied) = (open(Arc::new(House)).await, open(Arc::new(DenyAll)).await);
        let admin = asked.execute(Actor::System, None, &newcomer("admin", &[RoleName::ADMINISTRATOR])).await;
        let admin = Actor::User(admin.unwrap().id);
        let (seller, buyer) = (Actor::User(f.seller), Actor::User(f.buyer));
        Self { f, asked, denied, admin, seller, buyer }
    }

    /// On the way to a state.
    async fn run<C: Command>(&self, actor: Actor, command: &C) -> C::Done {
        self.f.market.execute(actor, None, command).await.unwrap()
    }

    async fn user(&self, name: &str, roles: &[RoleName]) -> UserId {
        self.run(Actor::System, &newcomer(name, roles)).await.id
    }
}

fn newcomer(name: &str, roles: &[RoleName]) -> RegisterUser {
    RegisterUser {
        name: name.parse().unwrap(),
        display: name.parse().unwrap(),
        email: Some(format!("{name}@example.org").parse().unwrap()),
        roles: roles.iter().cloned().collect(),
        profile: Profile::default(),
        invitation: None,
        password: Some(password()),
    }
}

fn password() -> SecretHash {
    SecretHash::new("$argon2id$first")
}

const FREE: Plan = Plan::Free { quota: None };

/// A record that has states, in a world of its own.
trait Scene: Sized {
    /// What it is.
    const WHAT: &'static str;
    /// All its states, as the page calls them.
    const STATES: &'static [&'static str];
    /// What is to be said of cells that may surprise.
    const NOTES: &'static str = "";

    /// The record in this state.
    async fn brought_to(state: &'static str) -> Self;

    fn world(&self) -> &World;

    /// The state that it is in.
    async fn state(&self) -> &'static str;
}

/// The page as it is written.
#[derive(Default)]
struct Page {
    text: String,
    notes: &'static str,
    commands: BTreeSet<&'static str>,
}

impl Page {
    fn table<S: Scene>(&mut self) {
        self.end_table();
        let title = S::WHAT;
        write!(self.text, "\n## {title}\n\n| command |").unwrap();
        for state in S::STATES {
            write!(self.text, " {state} |").unwrap();
        }
        self.text.push_str(" who may not |\n|---|");
        for _ in S::STATES {
            self.text.push_str("---|");
        }
        self.text.push_str("---|\n");
        self.notes = S::NOTES;
    }

    fn end_table(&mut self) {
        if !self.notes.is_empty() {
            write!(self.text, "\n{}\n", self.notes).unwrap();
        }
        self.notes = "";
    }

    /// A command in each state; `with` says more of it where it is in more rows than one.
    async fn row<S: Scene, C: Command>(&mut self, with: &str, ask: impl Fn(&S) -> (Actor, C)) {
        self.row_where(with, |scene: &S| Some(ask(scene))).await;
    }

    /// The same where there is something to ask only in some states.
    async fn row_where<S: Scene, C: Command>(&mut self, with: &str, ask: impl Fn(&S) -> Option<(Actor, C)>) {
        self.commands.insert(C::NAME);
        let space = if with.is_empty() { "" } else { " " };
        write!(self.text, "| `{}`{space}{with} |", C::NAME).unwrap();
        let mut denials = BTreeSet::new();
        for state in S::STATES {
            let scene = S::brought_to(state).await;
            let world = scene.world();
            assert_eq!(scene.state().await, *state, "{}, before {}", S::WHAT, C::NAME);
            let Some((actor, command)) = ask(&scene) else {
                self.text.push_str(" – |");
                continue;
            };
            let before = digest_of(&*world.f.store).await;
            match world.denied.execute(actor, None, &command).await {
                Ok(_) => panic!("{} {state}: `{}` asks no policy", S::WHAT, C::NAME),
                Err(error) => denials.insert(refusal(error).code()),
            };
            assert_eq!(digest_of(&*world.f.store).await, before, "a denied `{}` changed something", C::NAME);
            match world.asked.execute(actor, None, &command).await {
                Ok(_) => {
                    assert_ne!(digest_of(&*world.f.store).await, before, "`{}` left no trace", C::NAME);
                    world.f.assert_balanced().await;
                    let after = scene.state().await;
                    let cell = if after == *state { "yes".to_owned() } else { format!("→ {after}") };
                    write!(self.text, " {cell} |").unwrap();
                }
                Err(error) => {
                    let refused = refusal(error);
                    let now = digest_of(&*world.f.store).await;
                    assert_eq!(now, before, "a refused `{}` changed something", C::NAME);
                    write!(self.text, " `{}`: {} |", refused.code(), nameless(&refused)).unwrap();
                }
            }
        }
        for (place, code) in denials.into_iter().enumerate() {
            write!(self.text, "{} `{code}`", if place == 0 { "" } else { "," }).unwrap();
        }
        self.text.push_str(" |\n");
    }
}

/// What is said, without ids: nobody reads them.
fn nameless(refused: &Refusal) -> String {
    let said = refused.to_string();
    let words = said.split(' ').map(|word| if word.starts_with("`vob_") { "it" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

const HEAD: &str = "\
# What can be done in which state

Each record that has states, and each command that touches it, as a test saw it: *yes* means that it is carried out and the state stays,
an arrow names the state that it leads to, and a refusal stands with its code and its text. A refused command changes nothing. A dash:
in this state there is nothing to send the command about. Unless the row says otherwise, who asks is whoever may, and is active. *Who may not* is what the same
request is answered with if the policy denies everything.

`I3_GOLDEN=write cargo test -p i3-core --test market states` writes this page anew (`make openapi` does too); the tests compare it.
";

#[tokio::test]
async fn every_command_in_every_state_does_what_the_page_in_the_repository_says() {
    let mut page = Page { text: HEAD.to_owned(), ..Page::default() };
    people::tables(&mut page).await;
    selling::tables(&mut page).await;
    buying::tables(&mut page).await;
    objects::tables(&mut page).await;
    programs::tables(&mut page).await;
    page.end_table();

    let all: BTreeSet<_> = Commands::standard().names().collect();
    let missing: Vec<_> = all.difference(&page.commands).collect();
    assert!(missing.is_empty(), "in no table: {missing:?}");

    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/states.md");
    if std::env::var_os("I3_GOLDEN").is_some_and(|wish| wish == "write") {
        std::fs::write(&file, &page.text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    for (number, (today, kept)) in page.text.lines().zip(kept.lines()).enumerate() {
        assert_eq!(today, kept, "docs/states.md, line {}", number + 1);
    }
    assert_eq!(page.text.lines().count(), kept.lines().count());
}
