//! `serve --upstream`: messages go through a broker elsewhere.

use std::path::{Path, PathBuf};

use clap::Args;
use i3_broker::log::{UpstreamLogin, UpstreamUrl};

use crate::{Failure, Upstream};

/// Whether messages go through a broker elsewhere.
#[derive(Debug, Clone, Args)]
pub struct UpstreamOptions {
    /// A broker (MQTT 5) that messages go through, `mqtt://HOST:PORT`: its other clients see them, and several gates
    /// share it. By default messages stay in this process
    #[arg(long, env = "I3_UPSTREAM", value_name = "URL")]
    pub upstream: Option<UpstreamUrl>,
    /// The gate's own user there, who may publish and subscribe to `i3/#`
    #[arg(long, env = "I3_UPSTREAM_USER", value_name = "NAME",
          requires_all = ["upstream", "upstream_password_file"])]
    pub upstream_user: Option<String>,
    /// The file that holds that user's password, in its first line
    #[arg(long, env = "I3_UPSTREAM_PASSWORD_FILE", value_name = "FILE", requires = "upstream_user")]
    pub upstream_password_file: Option<PathBuf>,
    /// Also sells what others publish at the upstream broker, past any gate. Whoever may write there can then put
    /// messages into what buyers pay for
    #[arg(long, env = "I3_UPSTREAM_ACCEPT_FOREIGN", requires = "upstream")]
    pub upstream_accept_foreign: bool,
}

impl UpstreamOptions {
    /// The broker that is meant, if one is.
    pub fn upstream(&self) -> Result<Option<Upstream>, Failure> {
        let Some(url) = self.upstream.clone() else { return Ok(None) };
        let login = match (&self.upstream_user, &self.upstream_password_file) {
            (Some(user), Some(file)) => Some(UpstreamLogin::new(user, first_line(file)?)),
            _ => None,
        };
        Ok(Some(Upstream { url, login, accept_foreign: self.upstream_accept_foreign }))
    }
}

/// A password's file: its first line.
fn first_line(file: &Path) -> Result<String, Failure> {
    let bad = |why: &dyn std::fmt::Display| {
        Failure::usage("upstream_password", format!("{}: {why}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| bad(&error))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(bad(&"its first line is empty")),
    }
}
