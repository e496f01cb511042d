//! What the command line is made of.

mod access;
mod context;
mod discovery;
mod failure;
mod given;
mod hubs;
mod ledger;
mod logins;
mod objects;
mod ontology;
mod operation;
mod orders;
mod people;
mod products;
mod profile;
mod programs;
mod readable;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use i3_client::{EntityTag, Server};
use i3_core::market::IdempotencyKey;
use i3_core::name::Slug;

use context::{Context, Told};
use failure::Failure;

/// The I3 `IoT` data marketplace from the command line
///
/// Everything that the REST interface does. Answers are readable text, or JSON with --json. The exit status is 0 if it
/// was done, 1 if something failed, 2 if the program was called wrongly, 3 if the marketplace said no, and 4 if others
/// were quicker or there is too much to do: look again, or try again later.
#[derive(Debug, Parser)]
#[command(name = "i3", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    task: Task,
}

/// For all commands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "For all commands")]
pub(crate) struct Options {
    /// Where the marketplace is; else the profile's, else `http://127.0.0.1:8080`
    #[arg(long, global = true, env = "I3_SERVER", value_name = "URL")]
    pub(crate) server: Option<Server>,
    /// Whose login to use: each profile has one, with its server
    #[arg(long, global = true, env = "I3_PROFILE", value_name = "NAME", default_value = "default")]
    pub(crate) profile: Slug,
    /// A file with the token to use instead of the profile's, - for standard input; or the text itself in `I3_TOKEN`
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// JSON as the interface answers; with the entity tag as `_etag`, if there is one
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Does what it changes once under this key, however often it is called; a fresh one by default
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    /// Changes a thing only if it still has this tag
    #[arg(long, global = true, value_name = "TAG")]
    pub(crate) if_match: Option<EntityTag>,
    /// How many seconds each try may take
    #[arg(long, global = true, env = "I3_TIMEOUT", value_name = "SECONDS", default_value = "40")]
    pub(crate) timeout: u32,
    /// Certificates (PEM) of who may vouch for the server, instead of the usual authorities
    #[arg(long, global = true, env = "I3_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Sends passwords and tokens to other machines without TLS
    #[arg(long, global = true)]
    pub(crate) unprotected: bool,
}

impl Options {
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Signs in and keeps the token in the profile, in a file that nobody else reads
    Login(logins::Login),
    /// Ends the profile's login and forgets its token
    Logout(logins::Logout),
    /// One's own account
    Whoami,
    /// Whether the marketplace works
    Health,
    /// Accounts of people
    #[command(subcommand)]
    User(people::UserTask),
    /// Setting another password
    #[command(subcommand)]
    Password(logins::PasswordTask),
    /// One's own API tokens
    #[command(subcommand)]
    Token(logins::TokenTask),
    /// Invitations to open an account
    #[command(subcommand)]
    Invitation(people::InvitationTask),
    /// Roles, and the permissions that they are made of
    #[command(subcommand)]
    Role(people::RoleTask),
    /// What one was told
    #[command(subcommand)]
    Inbox(people::InboxTask),
    /// One's own OAuth2 clients
    #[command(subcommand)]
    Client(programs::ClientTask),
    /// Hubs and their members
    #[command(subcommand)]
    Hub(hubs::HubTask),
    /// Devices and what they log in with
    #[command(subcommand)]
    Device(hubs::DeviceTask),
    /// Products, what is said of them and what they are like
    #[command(subcommand)]
    Product(products::ProductTask),
    /// Offers for products
    #[command(subcommand)]
    Offer(products::OfferTask),
    /// Buying, receiving, ending, rating
    #[command(subcommand)]
    Order(orders::OrderTask),
    /// Virtual objects: things that are shared, with how they are reached
    #[command(subcommand)]
    Object(objects::ObjectTask),
    /// Finds virtual objects and data products by what they are and do
    Discover(discovery::Discover),
    /// What people of one's own domain used, where the marketplace recommends it
    Recommend {
        /// At most how many things
        #[arg(long)]
        limit: Option<u16>,
    },
    /// What administrators add to the ontology
    #[command(subcommand)]
    Ontology(ontology::OntologyTask),
    /// Accounts of the ledger
    #[command(subcommand)]
    Account(ledger::AccountTask),
    /// Why a client may or may not do something, and why messages were or were not charged
    #[command(subcommand)]
    Explain(access::ExplainTask),
    /// What happened, in order
    Events(context::ListArgs),
    /// Who did what
    #[command(subcommand)]
    Audit(operation::AuditTask),
    /// Whether the books balance
    Reconcile,
}

impl Task {
    async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Login(login) => login.run(context).await,
            Self::Logout(logout) => logout.run(context).await,
            Self::Whoami => context.ask(client.show_me()).await,
            Self::Health => context.ask(client.health()).await,
            Self::User(task) => task.run(context).await,
            Self::Password(task) => task.run(context).await,
            Self::Token(task) => task.run(context).await,
            Self::Invitation(task) => task.run(context).await,
            Self::Role(task) => task.run(context).await,
            Self::Inbox(task) => task.run(context).await,
            Self::Client(task) => task.run(context).await,
            Self::Hub(task) => task.run(context).await,
            Self::Device(task) => task.run(context).await,
            Self::Product(task) => task.run(context).await,
            Self::Offer(task) => task.run(context).await,
            Self::Order(task) => task.run(context).await,
            Self::Object(task) => task.run(context).await,
            Self::Discover(question) => question.run(context).await,
            Self::Recommend { limit } => context.ask(client.list_recommendations(limit)).await,
            Self::Ontology(task) => task.run(context).await,
            Self::Account(task) => task.run(context).await,
            Self::Explain(task) => task.run(context).await,
            Self::Events(list) => context.list(client.list_events(), &list).await,
            Self::Audit(task) => task.run(context).await,
            Self::Reconcile => context.ask(client.reconcile()).await,
        }
    }
}

/// Does what the command line says.
pub(crate) async fn run() -> ExitCode {
    let Cli { options, task } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let json = options.json;
    match done(options, task).await {
        Ok(told) => {
            // Nobody who reads it is no reason to fail: it is done.
            let _ = std::io::stdout().write_all(told.text(json).as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = std::io::stderr().write_all(failure.text(json).as_bytes());
            ExitCode::from(failure.exit_status())
        }
    }
}

async fn done(options: Options, task: Task) -> Result<Told, Failure> {
    let context = Context::of(options)?;
    task.run(&context).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }
}
