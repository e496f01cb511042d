//! Signing in and out, tokens, passwords.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use i3_client::{Forgotten, SignIn};
use i3_core::id::TokenId;
use i3_core::name::{Email, Label, Slug};
use serde_json::json;

use super::context::{Context, Told};
use super::failure::Failure;
use super::given::secret;
use super::profile::{self, Kept};

/// Whose password, and what the token shall be.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The login name
    name: String,
    /// What the token shall be called
    #[arg(long)]
    label: Option<Label>,
    /// How long the token shall be good: 30 days by default, 366 at most
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u64>,
    /// A file with the password, - for standard input; else `I3_PASSWORD`, else it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Login {
    fn who(self) -> Result<SignIn, Failure> {
        let password = secret("password", self.password_file.as_deref(), "--password-file", "I3_PASSWORD")?;
        let Self { name, label, lifetime, .. } = self;
        Ok(SignIn { name, password, label, lifetime_seconds: lifetime })
    }

    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client().anonymous();
        let signed = context.changed(client.sign_in(&self.who()?)).await?.into_value();
        let server = client.server().as_str().to_owned();
        let name = signed.account.name.to_string();
        let kept = Kept { server: server.clone(), name: name.clone(), token: signed.token };
        let file = profile::keep(&context.options.profile, &kept)?;
        Ok(Told::own(json!({
            "name": name,
            "user": signed.account.id,
            "server": server,
            "expires": signed.record.expires,
            "kept": file.display().to_string(),
        })))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Ends all of one's logins, everywhere, and what programs were allowed
    #[arg(long)]
    everywhere: bool,
}

impl Logout {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        let change = if self.everywhere { client.end_logins() } else { client.sign_out() };
        match context.changed(change).await {
            Ok(_) => {}
            // The token is good for nothing as it is.
            Err(Failure::Asked { error, .. }) if error.code() == "invalid_token" => {}
            Err(failure) => return Err(failure),
        }
        profile::forget(&context.options.profile)?;
        Ok(Told::own(serde_json::Value::Null))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenTask {
    /// One's own API tokens that are good
    List,
    /// Gives a token for a name and a password: shown once, and kept nowhere
    Create(Login),
    /// Ends one of one's own tokens
    Revoke {
        /// Which
        token: TokenId,
    },
}

impl TokenTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::List => context.ask(client.list_tokens()).await,
            Self::Create(login) => context.change(client.anonymous().sign_in(&login.who()?)).await,
            Self::Revoke { token } => context.change(client.revoke_token(token)).await,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum PasswordTask {
    /// Sets another password; all other logins end
    Change {
        /// A file with the present password; else `I3_PASSWORD`, else it is asked for
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// A file with the next password; else `I3_NEW_PASSWORD`, else it is asked for
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
    /// Asks to be mailed leave to set a password
    #[command(group = clap::ArgGroup::new("whose").required(true))]
    Forgot {
        /// Of who has this login name
        #[arg(long, group = "whose")]
        name: Option<Slug>,
        /// Of who is reached at this address
        #[arg(long, group = "whose")]
        email: Option<Email>,
    },
    /// Sets a password with leave that was mailed
    Reset {
        /// A file with the text that was mailed; else `I3_LEAVE`, else it is asked for
        #[arg(long, value_name = "FILE")]
        leave_file: Option<PathBuf>,
        /// A file with the next password; else `I3_NEW_PASSWORD`, else it is asked for
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
}

impl PasswordTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        let next = |file: Option<PathBuf>| {
            secret("next password", file.as_deref(), "--new-password-file", "I3_NEW_PASSWORD")
        };
        match self {
            Self::Change { password_file, new_password_file } => {
                let file = password_file.as_deref();
                let present = secret("present password", file, "--password-file", "I3_PASSWORD")?;
                let next = next(new_password_file)?;
                let user = client.show_me().await?.id;
                context.change(client.change_password(user, &present, &next)).await
            }
            Self::Forgot { name, email } => {
                let whose = match (name, email) {
                    (Some(name), _) => Forgotten::Name(name),
                    (None, Some(email)) => Forgotten::Email(email),
                    (None, None) => return Err(Failure::Usage("--name or --email is expected".to_owned())),
                };
                context.change(client.ask_password_reset(&whose)).await
            }
            Self::Reset { leave_file, new_password_file } => {
                let leave =
                    secret("text that was mailed", leave_file.as_deref(), "--leave-file", "I3_LEAVE")?;
                context.change(client.reset_password(&leave, &next(new_password_file)?)).await
            }
        }
    }
}
