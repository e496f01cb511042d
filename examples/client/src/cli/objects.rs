//! Virtual objects.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use i3_client::{NewVirtualObject, ObjectQuery, ObjectSort};
use i3_core::id::{HubId, ProductId, UserId, VirtualObjectId};
use i3_core::market::WhichVersion;
use i3_core::name::{Prose, Slug, Term};
use i3_core::store::Digest;
use i3_core::virtual_object::{Content, FileName, MediaType, ObjectKind, ObjectState, Protocol};
use serde_json::{Map, Value, json};

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::{bytes_of, json_of, named, write_new};

/// Which objects; all that are published by default.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Of this user
    #[arg(long, value_name = "USER")]
    owner: Option<UserId>,
    /// Of this hub
    #[arg(long)]
    hub: Option<HubId>,
    /// In this state: draft, submitted, published, deprecated or removed
    #[arg(long, value_parser = named::<ObjectState>)]
    state: Option<ObjectState>,
    /// sensor, actuator or service
    #[arg(long, value_parser = named::<ObjectKind>)]
    kind: Option<ObjectKind>,
    /// In this category
    #[arg(long)]
    category: Option<Term>,
    /// In this domain
    #[arg(long)]
    domain: Option<Slug>,
    /// With this tag
    #[arg(long)]
    tag: Option<Term>,
    /// On this platform
    #[arg(long)]
    platform: Option<Term>,
    /// Speaking this protocol: coap, http, mqtt, websocket
    #[arg(long)]
    protocol: Option<Protocol>,
    /// newest, oldest; without filters also changed or title
    #[arg(long, value_parser = named::<ObjectSort>)]
    sort: Option<ObjectSort>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ObjectTask {
    /// Virtual objects, by what they are
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Creates a virtual object as a draft
    Create {
        /// A file with what it says, as JSON: kind, title, body, protocols, resources, …; - for standard input
        content: PathBuf,
        /// The hub whose managers may change it too
        #[arg(long)]
        hub: Option<HubId>,
        /// Submits it at once
        #[arg(long)]
        submit: bool,
    },
    /// A virtual object; a draft is seen by its owner
    Show {
        /// Which
        object: VirtualObjectId,
    },
    /// Says anew all that a virtual object says
    Replace {
        /// Which
        object: VirtualObjectId,
        /// A file with what it says, as JSON; - for standard input
        content: PathBuf,
    },
    /// Changes some of what a virtual object says
    Amend {
        /// Which
        object: VirtualObjectId,
        /// A file with a merge patch (RFC 7396); - for standard input
        patch: PathBuf,
    },
    /// Removes a virtual object; its history stays with its owner
    Remove {
        /// Which
        object: VirtualObjectId,
    },
    /// Submits, publishes, deprecates or takes back a virtual object
    SetState {
        /// Which
        object: VirtualObjectId,
        /// draft, submitted, published or deprecated
        #[arg(value_parser = named::<ObjectState>)]
        state: ObjectState,
        /// What a review says to the owner when it sends the object back to draft
        #[arg(long, value_name = "TEXT")]
        remark: Option<Prose>,
    },
    /// Links a virtual object to the product that delivers its data
    Link {
        /// Which
        object: VirtualObjectId,
        /// To which; to none if it is left out
        product: Option<ProductId>,
    },
    /// What a virtual object said before, newest first
    History {
        /// Which
        object: VirtualObjectId,
        #[command(flatten)]
        list: ListArgs,
    },
    /// What it said
    Version {
        /// Which
        object: VirtualObjectId,
        /// The number, or the hash: sha256:…
        #[arg(value_parser = which_version)]
        version: WhichVersion,
    },
    /// Files that come with a virtual object
    #[command(subcommand)]
    File(FileTask),
}

/// Files that come with a virtual object.
#[derive(Debug, Subcommand)]
pub(crate) enum FileTask {
    /// Attaches a file, in place of one of the same name
    Put {
        /// To which virtual object
        object: VirtualObjectId,
        /// The file; - for standard input
        file: PathBuf,
        /// What it is called there; as it is called here if nothing is said
        #[arg(long)]
        name: Option<FileName>,
        /// What it is: application/pdf, text/plain, …; bytes of any kind if nothing is said
        #[arg(long = "type", value_name = "MEDIA TYPE", default_value = "application/octet-stream")]
        media_type: MediaType,
    },
    /// The bytes of a file
    Get {
        /// Of which virtual object
        object: VirtualObjectId,
        /// What it is called there
        name: FileName,
        /// Of an earlier version: the number, or the hash: sha256:…
        #[arg(long, value_parser = which_version)]
        version: Option<WhichVersion>,
        /// Where to write it: a file that is not there yet
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Leaves a file out from now on; earlier versions keep it
    Rm {
        /// Of which virtual object
        object: VirtualObjectId,
        /// What it is called there
        name: FileName,
    },
    /// Lets go of the bytes of a file that only earlier versions have
    Purge {
        /// Of which virtual object
        object: VirtualObjectId,
        /// The SHA-256 of the bytes
        sha256: Digest,
    },
}

impl FileTask {
    async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Put { object, file, name, media_type } => {
                let name = if let Some(name) = name {
                    name
                } else {
                    let own = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    own.parse().map_err(|error| Failure::Usage(format!("{own:?}: {error}; give --name")))?
                };
                let bytes = bytes_of(&file)?;
                let change = client.attach_virtual_object_file(object, &name, media_type, bytes);
                context.change(change).await
            }
            Self::Get { object, name, version, output } => {
                let bytes = client.download_virtual_object_file(object, &name, version).await?.value;
                write_new(&output, &bytes)?;
                Ok(Told::own(json!({"file": output, "bytes": bytes.len(), "sha256": Digest::of(&bytes)})))
            }
            Self::Rm { object, name } => {
                context.change(client.detach_virtual_object_file(object, &name)).await
            }
            Self::Purge { object, sha256 } => {
                context.change(client.purge_virtual_object_file(object, sha256)).await
            }
        }
    }
}

fn which_version(text: &str) -> Result<WhichVersion, String> {
    let number = text.parse().map(WhichVersion::Number);
    let hash = || text.parse().map(WhichVersion::Hash);
    number.or_else(|_| hash()).map_err(|_| "a number or `sha256:` and 64 digits are expected".to_owned())
}

impl ObjectTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::List { which, list } => {
                let Which { owner, hub, state, kind, category, domain, tag, platform, protocol, sort } =
                    which;
                let query =
                    ObjectQuery { owner, hub, state, kind, category, domain, tag, platform, protocol, sort };
                context.list(client.list_virtual_objects(&query), &list).await
            }
            Self::Create { content, hub, submit } => {
                let object = NewVirtualObject { content: json_of::<Content>(&content)?, hub, submit };
                context.change(client.create_virtual_object(&object)).await
            }
            Self::Show { object } => context.ask(client.show_virtual_object(object)).await,
            Self::Replace { object, content } => {
                context.change(client.replace_virtual_object(object, &json_of(&content)?)).await
            }
            Self::Amend { object, patch } => {
                let patch = json_of::<Map<String, Value>>(&patch)?;
                context.change(client.amend_virtual_object(object, &patch)).await
            }
            Self::Remove { object } => context.change(client.remove_virtual_object(object)).await,
            Self::SetState { object, state, remark } => {
                context.change(client.set_virtual_object_state(object, state, remark.as_ref())).await
            }
            Self::Link { object, product } => {
                context.change(client.link_virtual_object(object, product)).await
            }
            Self::History { object, list } => {
                context.list(client.list_virtual_object_versions(object), &list).await
            }
            Self::Version { object, version } => {
                context.ask(client.show_virtual_object_version(object, version)).await
            }
            Self::File(task) => task.run(context).await,
        }
    }
}
