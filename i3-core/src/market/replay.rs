//! Carrying out an audit log again.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Mutex;

use async_trait::async_trait;

use super::command::{Asked, Execution, Origin, Request, Steps};
use super::{
    ActivateUser, AddCredential, AmendObject, AmendStream, AskPasswordReset, AttachFile, CancelOrder,
    ChangeOntology, ChangePassword, CloseLease, Command, CreateObject, CreateProduct, CreateRole,
    DescribeClient, DescribeDevice, DescribeHub, DescribeProduct, DescribeStream, DescribeUser, DetachFile,
    EditObject, EditRole, EndLogins, ExpireGrant, ExtendLease, IdempotencyKey, Invite, LinkProduct,
    MarketError, MoveObject, MoveProduct, OpenLease, PublishOffer, Purchase, PurgeFile, PurgeThing, PutThing,
    RateProduct, ReclaimLease, RegisterClient, RegisterDevice, RegisterHub, RegisterUser, RejectUser,
    RemoveClient, RemoveCredential, RemoveMember, RemoveRole, RemoveThing, ReplaceClientSecret,
    ReplaceOrderPassword, ResetPassword, RevokeGrant, SetClientState, SetDeviceState, SetHubState, SetMember,
    SetRoles, SuspendUser, TopUp, WithdrawInvitation, WithdrawOffer,
};
use crate::audit::{self, AuditEntry};
use crate::id::{IdBits, IdSource, NoEntropy};
use crate::portable::{
    self, Contents, FillingKind, PortError, Progress, Rows, StoreDigest, refuse_unfinished,
};
use crate::store::{Body, Cell, Digest, Row, Store, StoreError, StoreErrorKind, StoreExt};
use crate::time::Timestamp;

/// The commands that an audit log may hold, by name.
#[derive(Debug)]
pub struct Commands(BTreeMap<&'static str, Box<dyn Again>>);

impl Commands {
    /// Those of the marketplace.
    pub fn standard() -> Self {
        Self(BTreeMap::new())
            .with::<RegisterUser>()
            .with::<ActivateUser>()
            .with::<SuspendUser>()
            .with::<RejectUser>()
            .with::<DescribeUser>()
            .with::<ChangePassword>()
            .with::<AskPasswordReset>()
            .with::<ResetPassword>()
            .with::<EndLogins>()
            .with::<Invite>()
            .with::<WithdrawInvitation>()
            .with::<SetRoles>()
            .with::<CreateRole>()
            .with::<EditRole>()
            .with::<RemoveRole>()
            .with::<RegisterHub>()
            .with::<SetMember>()
            .with::<RemoveMember>()
            .with::<SetHubState>()
            .with::<DescribeHub>()
            .with::<RegisterDevice>()
            .with::<AddCredential>()
            .with::<RemoveCredential>()
            .with::<SetDeviceState>()
            .with::<DescribeDevice>()
            .with::<CreateProduct>()
            .with::<DescribeProduct>()
            .with::<DescribeStream>()
            .with::<AmendStream>()
            .with::<MoveProduct>()
            .with::<PublishOffer>()
            .with::<WithdrawOffer>()
            .with::<TopUp>()
            .with::<Purchase>()
            .with::<CancelOrder>()
            .with::<RevokeGrant>()
            .with::<ExpireGrant>()
            .with::<ReplaceOrderPassword>()
            .with::<OpenLease>()
            .with::<ExtendLease>()
            .with::<CloseLease>()
            .with::<ReclaimLease>()
            .with::<RateProduct>()
            .with::<RegisterClient>()
            .with::<DescribeClient>()
            .with::<ReplaceClientSecret>()
            .with::<SetClientState>()
            .with::<RemoveClient>()
            .with::<CreateObject>()
            .with::<EditObject>()
            .with::<AmendObject>()
            .with::<MoveObject>()
            .with::<LinkProduct>()
            .with::<AttachFile>()
            .with::<DetachFile>()
            .with::<PurgeFile>()
            .with::<PutThing>()
            .with::<RemoveThing>()
            .with::<PurgeThing>()
            .with::<ChangeOntology>()
    }

    /// With one more, for a program that has commands of its own.
    pub fn with<C: Command + Send + 'static>(mut self) -> Self {
        self.0.insert(C::NAME, Box::new(Of::<C>(PhantomData)));
        self
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

/// What was carried out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// How many commands.
    pub entries: u64,
    /// What the target holds now.
    pub digest: StoreDigest,
    /// Collections of the source that no command writes, or that hold secrets, with the numbers of their
    /// keys: they are not in the log, and so not in the target.
    pub left_out: BTreeMap<String, u64>,
}

/// Carries out every command of the source's audit log again, in an empty `target` or in one where an
/// earlier replay was not finished, and proves that the target then holds the same records, counters and
/// streams.
///
/// Every command goes through its own rule, with the ids, counters, settings and answers of the policy that
/// its entry names. What is in no log is missing afterwards, as after an [import](portable::import()):
/// secrets, and what others than commands wrote; [`Replayed::left_out`] names it. Commits one command after
/// the other, each as durable as the target is.
///
/// A log is the proof of what the rules of its time did: a version with other rules may not be able to
/// carry out an older log, and then says at which entry.
pub async fn replay(
    source: &dyn Store,
    target: &dyn Store,
    contents: &Contents,
    commands: &Commands,
    progress: &dyn Progress,
) -> Result<Replayed, PortError> {
    source.prepare(contents.schema()).await?;
    refuse_unfinished(source).await?;
    portable::begin(target, contents, FillingKind::Replay).await?;
    let stream = audit::stream()?;
    let (total, _) = end(source).await?;
    let (done, link) = end(target).await?;
    progress.begin("replaying", Some(total));
    let mut log = Rows::entries(source, stream.clone(), 0)?;
    let mut entries = 0;
    while let Some(Row::Entry { position, body, link: wanted }) = log.next().await? {
        progress.advance(1);
        entries = position;
        if position < done || (position == done && link == wanted) {
            continue;
        }
        if position == done {
            return Err(PortError::Diverged { stream });
        }
        carry_out(target, commands, position, &body).await?;
    }
    if done > entries {
        return Err(PortError::Diverged { stream });
    }

    progress.begin("comparing", None);
    let wanted = portable::digest(source, contents, progress).await?;
    let found = portable::digest(target, contents, progress).await?;
    if end(source).await?.0 != entries {
        return Err(PortError::SourceChanged);
    }
    if found.logged() != wanted.logged() {
        return Err(PortError::Differs {
            collections: wanted.differences(&found, |collection| collection.logged),
        });
    }
    portable::finish(target).await?;
    let left_out = wanted.collections.iter().filter(|collection| !collection.logged);
    let left_out = left_out.map(|collection| (collection.name.clone(), collection.keys)).collect();
    Ok(Replayed { entries, digest: found, left_out })
}

async fn end(store: &dyn Store) -> Result<(u64, Digest), StoreError> {
    Ok(match store.read(&[audit::stream()?]).await?.pop().flatten() {
        Some(Cell::Stream { position, link }) => (position, link),
        _ => (0, Digest::START),
    })
}

async fn carry_out(
    target: &dyn Store,
    commands: &Commands,
    position: u64,
    body: &Body,
) -> Result<(), PortError> {
    let failed = |command: &str, source: Box<dyn std::error::Error + Send + Sync>| PortError::Replay {
        position,
        command: command.to_owned(),
        source,
    };
    let entry: AuditEntry = serde_json::from_str(body.as_str()).map_err(|error| failed("?", error.into()))?;
    let command = commands
        .0
        .get(entry.command.as_str())
        .ok_or_else(|| failed(&entry.command, "this program knows no such command".into()))?;
    command.again(target, &entry, body.as_str()).await.map_err(|error| failed(&entry.command, error.into()))
}

/// Carries out a command of one kind.
#[async_trait]
trait Again: fmt::Debug + Send + Sync {
    async fn again(&self, target: &dyn Store, entry: &AuditEntry, text: &str) -> Result<(), MarketError>;
}

struct Of<C>(PhantomData<fn() -> C>);

impl<C: Command> fmt::Debug for Of<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(C::NAME)
    }
}

#[async_trait]
impl<C: Command + Send> Again for Of<C> {
    async fn again(&self, target: &dyn Store, entry: &AuditEntry, text: &str) -> Result<(), MarketError> {
        let command: C = serde_json::from_value(entry.request.clone()).map_err(unreadable)?;
        let request = Request::of(&command)?;
        carry_out_as(target, (entry, text), &Asked::new(&command), request).await
    }
}

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "the entry cannot be read").with_source(error)
}

/// Carries out the command of an entry, whose text this is.
async fn carry_out_as(
    target: &dyn Store,
    (entry, text): (&AuditEntry, &str),
    command: &dyn Steps,
    request: Request,
) -> Result<(), MarketError> {
    let key: Option<IdempotencyKey> = match &entry.key {
        Some(key) => Some(key.parse().map_err(|error: super::InvalidIdempotencyKey| unreadable(error))?),
        None => None,
    };
    let execution = Execution {
        actor: entry.actor,
        bound: None,
        client: entry.client,
        noted: None,
        key: key.as_ref(),
        command,
        condition: None,
        request,
        origin: Origin::Log { entry, text },
    };
    let ids = Recorded(Mutex::new(entry.ids.clone()));
    target.transact(entry.at, &ids, &execution).await?;
    Ok(())
}

/// The ids of an entry.
#[derive(Debug)]
struct Recorded(Mutex<Vec<IdBits>>);

impl IdSource for Recorded {
    fn fresh(&self, _: Timestamp) -> Result<u128, NoEntropy> {
        let mut left = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One more than were drawn: the entry that is written then is not the one that was read.
        if left.is_empty() { Ok(0) } else { Ok(left.remove(0).0) }
    }
}
