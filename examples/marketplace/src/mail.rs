//! Mails: through an SMTP server, or into a folder for development.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;
use i3_auth::leave::Leaves;
use i3_core::id::{ResetId, UserId};
use i3_core::name::Email;
use i3_core::notice::{Links, Message, Notifier, NotifyError};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::Failure;

/// How users are mailed.
#[derive(Debug, Clone, Args)]
pub struct MailOptions {
    /// The server that takes mails: `smtps://USER:PASSWORD@HOST`, `smtp://HOST?tls=required` or, only on this
    /// machine or network, `smtp://HOST:PORT`. By default nobody is mailed, and users read what happened in their box
    #[arg(long, env = "I3_SMTP", value_name = "URL", hide_env_values = true, requires = "mail_from")]
    pub smtp: Option<String>,
    /// For development: a folder that gets a file for each mail
    #[arg(long, env = "I3_MAIL_DIR", value_name = "DIR", conflicts_with = "smtp")]
    pub mail_dir: Option<PathBuf>,
    /// Whom mails are from: `Marketplace <i3@example.org>`
    #[arg(long, env = "I3_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// Who is mailed what administrators are told: that somebody waits for approval
    #[arg(long, env = "I3_OPERATOR_MAIL", value_name = "ADDRESS")]
    pub operator_mail: Option<String>,
}

/// Who mails, and whom beside users.
#[derive(Debug, Clone)]
pub struct Mailer {
    /// Sends mails.
    pub notifier: Arc<dyn Notifier>,
    /// Who is mailed what administrators are told.
    pub administrators: Option<Email>,
}

/// How long the SMTP server may take for one step.
const PATIENCE: Duration = Duration::from_secs(20);

impl MailOptions {
    /// What mails, if anything is to.
    pub fn mailer(&self) -> Result<Option<Mailer>, Failure> {
        let bad = |what: &str, why: &dyn std::fmt::Display| {
            Failure::usage("invalid_mail", format!("{what}: {why}"))
        };
        let from = self.mail_from.as_deref().unwrap_or("Marketplace <marketplace@localhost>");
        let from: Mailbox = from.parse().map_err(|error| bad("--mail-from", &error))?;
        let operator = self.operator_mail.as_deref().map(str::parse::<Email>).transpose();
        let administrators = operator.map_err(|error| bad("--operator-mail", &error))?;
        let notifier: Arc<dyn Notifier> = match (&self.smtp, &self.mail_dir) {
            (Some(url), _) => {
                // The error may have the address with its password in it.
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
                    .map_err(|_| bad("--smtp", &"`smtp://…` or `smtps://…` is expected"))?;
                Arc::new(SmtpNotifier::new(from, builder.timeout(Some(PATIENCE)).build()))
            }
            (None, Some(folder)) => Arc::new(FolderNotifier::new(from, folder)),
            (None, None) => return Ok(None),
        };
        Ok(Some(Mailer { notifier, administrators }))
    }
}

/// A mail as it goes over the wire (RFC 5322).
fn written(from: &Mailbox, message: &Message) -> Result<lettre::Message, NotifyError> {
    let never = |error: Box<dyn std::error::Error + Send + Sync>| NotifyError::Never(error);
    let to: Address =
        message.to.as_ref().parse().map_err(|error: lettre::address::AddressError| never(error.into()))?;
    // The same each time that it is sent: a reader's program knows a second one for what it is.
    let id = format!("<{}@{}>", message.id.to_string().replace(':', "."), from.email.domain());
    lettre::Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(message.subject.as_str())
        .message_id(Some(id))
        .header(ContentType::TEXT_PLAIN)
        .body(message.text.clone())
        .map_err(|error| never(error.into()))
}

/// Gives mails to an SMTP server (RFC 5321).
pub struct SmtpNotifier {
    from: Mailbox,
    server: AsyncSmtpTransport<Tokio1Executor>,
}

impl std::fmt::Debug for SmtpNotifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The server's login is a secret.
        f.debug_struct("SmtpNotifier").field("from", &self.from).finish_non_exhaustive()
    }
}

impl SmtpNotifier {
    /// From this mailbox, through this server.
    pub fn new(from: Mailbox, server: AsyncSmtpTransport<Tokio1Executor>) -> Self {
        Self { from, server }
    }
}

/// Whether the server said that this mailbox is none (RFC 5321, section 4.2.3). Everything else may be the sender's own
/// mistake, or the server's, and be mended.
fn is_final(error: &smtp::Error) -> bool {
    error.status().is_some_and(|code| matches!(u16::from(code), 550 | 551 | 553))
}

#[async_trait]
impl Notifier for SmtpNotifier {
    async fn deliver(&self, message: &Message) -> Result<(), NotifyError> {
        match self.server.send(written(&self.from, message)?).await {
            Ok(_) => Ok(()),
            Err(error) if is_final(&error) => Err(NotifyError::Never(error.into())),
            Err(error) => Err(NotifyError::Later(error.into())),
        }
    }
}

/// Writes each mail into a file of its own.
#[derive(Debug)]
pub struct FolderNotifier {
    from: Mailbox,
    folder: PathBuf,
}

impl FolderNotifier {
    /// From this mailbox, into this folder, which is made if it is not there.
    pub fn new(from: Mailbox, folder: &Path) -> Self {
        Self { from, folder: folder.to_owned() }
    }

    async fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        tokio::fs::create_dir_all(&self.folder).await?;
        let (draft, file) =
            (self.folder.join(format!(".{name}.new")), self.folder.join(format!("{name}.eml")));
        tokio::fs::write(&draft, bytes).await?;
        // Whole or not at all; a mail that is sent again takes the place of the first.
        tokio::fs::rename(&draft, &file).await
    }
}

#[async_trait]
impl Notifier for FolderNotifier {
    async fn deliver(&self, message: &Message) -> Result<(), NotifyError> {
        let bytes = written(&self.from, message)?.formatted();
        let name = message.id.to_string().replace(':', "-");
        self.write(&name, &bytes).await.map_err(|error| NotifyError::Later(error.into()))
    }
}

/// Links to a marketplace at this address.
#[derive(Debug, Clone)]
pub struct PublicLinks {
    home: String,
    leaves: Leaves,
}

impl PublicLinks {
    /// `home` has no slash at its end.
    pub fn new(home: impl Into<String>, leaves: Leaves) -> Self {
        Self { home: home.into(), leaves }
    }
}

impl Links for PublicLinks {
    fn home(&self) -> String {
        self.home.clone()
    }

    fn password_reset(&self, user: UserId, reset: ResetId) -> String {
        format!("{}/password-reset?token={}", self.home, self.leaves.reset(user, reset).expose())
    }
}
