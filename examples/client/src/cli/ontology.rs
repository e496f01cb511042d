//! What administrators add to the ontology.

use std::path::PathBuf;

use clap::Subcommand;
use i3_client::OntologyStatements;
use i3_core::name::Prose;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::text_of;

#[derive(Debug, Subcommand)]
pub(crate) enum OntologyTask {
    /// What is added, and since when
    Show,
    /// Says anew all that is added
    Extend {
        /// A file with all of it, as Turtle; - for standard input
        turtle: PathBuf,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        remark: Prose,
    },
    /// Withdraws what was added; its versions stay
    Withdraw,
    /// What was added when, the last first
    History(ListArgs),
    /// What was added in one version
    Version {
        /// Its number
        version: u32,
    },
}

impl OntologyTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Show => context.ask(client.show_ontology_extension()).await,
            Self::Extend { turtle, remark } => {
                let statements = OntologyStatements { turtle: text_of(&turtle)?, remark };
                context.change(client.extend_ontology(&statements)).await
            }
            Self::Withdraw => context.change(client.withdraw_ontology_extension()).await,
            Self::History(list) => context.list(client.list_ontology_versions(), &list).await,
            Self::Version { version } => context.ask(client.show_ontology_version(version)).await,
        }
    }
}
