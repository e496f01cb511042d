//! One's own OAuth2 clients.

use clap::{Args, Subcommand};
use i3_client::{ClientDescription, ClientPatch, ClientQuery, ClientRegistration};
use i3_core::id::ClientId;
use i3_core::market::TimeOrder;
use i3_core::name::Label;
use i3_core::oauth::{ClientKind, ClientState, RedirectUri, Scope};

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::named;

#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// What it may ask for: scopes, comma between
    #[arg(long, value_delimiter = ',', value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// Where users may be sent back to; once for each address
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<RedirectUri>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClientTask {
    /// Registers a client; its secret is shown once
    Register {
        /// What users see when they are asked to consent
        label: Label,
        /// public, confidential or machine
        #[arg(long, value_parser = named::<ClientKind>)]
        kind: ClientKind,
        #[command(flatten)]
        asked: Asked,
    },
    /// One's own clients
    List {
        /// Those in this state: active, disabled or suspended
        #[arg(long, value_parser = named::<ClientState>)]
        state: Option<ClientState>,
        /// Those of this kind: public, confidential or machine
        #[arg(long, value_parser = named::<ClientKind>)]
        kind: Option<ClientKind>,
        /// By when they were registered: oldest (by default) or newest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// A client
    Show {
        /// Which
        client: ClientId,
    },
    /// Says all anew of a client
    Describe {
        /// Which
        client: ClientId,
        /// What users see when they are asked to consent
        #[arg(long)]
        label: Label,
        #[command(flatten)]
        asked: Asked,
    },
    /// Changes some of it: what is left out stays
    Edit {
        /// Which
        client: ClientId,
        /// What users see when they are asked to consent
        #[arg(long)]
        label: Option<Label>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Gives a client another secret, shown once
    ReplaceSecret {
        /// Which
        client: ClientId,
    },
    /// Switches a client off or on
    SetState {
        /// Which
        client: ClientId,
        /// active or disabled; suspended by an administrator
        #[arg(value_parser = named::<ClientState>)]
        state: ClientState,
    },
    /// Removes a client
    Remove {
        /// Which
        client: ClientId,
    },
}

impl ClientTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Register { label, kind, asked } => {
                let Asked { scopes, redirect_uri } = asked;
                let (scopes, redirect_uris) =
                    (scopes.into_iter().collect(), redirect_uri.into_iter().collect());
                let registration = ClientRegistration { label, kind, scopes, redirect_uris };
                context.change(client.register_client(&registration)).await
            }
            Self::List { state, kind, sort, list } => {
                context.list(client.list_clients(&ClientQuery { state, kind, sort }), &list).await
            }
            Self::Show { client: id } => context.ask(client.show_client(id)).await,
            Self::Describe { client: id, label, asked } => {
                let Asked { scopes, redirect_uri } = asked;
                let (scopes, redirect_uris) =
                    (scopes.into_iter().collect(), redirect_uri.into_iter().collect());
                let description = ClientDescription { label, scopes, redirect_uris };
                context.change(client.describe_client(id, &description)).await
            }
            Self::Edit { client: id, label, asked } => {
                let Asked { scopes, redirect_uri } = asked;
                let patch = ClientPatch {
                    label,
                    scopes: (!scopes.is_empty()).then(|| scopes.into_iter().collect()),
                    redirect_uris: (!redirect_uri.is_empty()).then(|| redirect_uri.into_iter().collect()),
                };
                context.change(client.edit_client(id, &patch)).await
            }
            Self::ReplaceSecret { client: id } => context.change(client.replace_client_secret(id)).await,
            Self::SetState { client: id, state } => context.change(client.set_client_state(id, state)).await,
            Self::Remove { client: id } => context.change(client.remove_client(id)).await,
        }
    }
}
