//! What follows the outbox in a server: notices, mails, and the end of what programs were allowed.

use std::time::Duration;

use i3_auth::oauth2::AuthorizationServer;
use i3_core::market::{MarketError, Marketplace};
use i3_core::notice::Mailing;
use i3_core::outbox::Event;
use tokio::time::MissedTickBehavior;

use crate::mail::{Mailer, PublicLinks};

/// How often it is looked for what happened.
const EVERY: Duration = Duration::from_secs(1);
/// Who ends what programs were allowed, among those who follow the outbox.
pub(crate) const LOGINS: &str = "logins";
/// Events that are looked at at once, and that may go by before their position is stored.
const EVENTS: usize = 256;

/// Tells people of what happened, in this process and others, for as long as it is polled. What fails is tried again.
pub(crate) async fn tell(
    market: Marketplace,
    oauth: std::sync::Arc<AuthorizationServer>,
    links: PublicLinks,
    mailer: Option<Mailer>,
) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = end_programs(&market, &oauth).await {
            tracing::error!(code = error.code(), "what programs were allowed could not be ended: {error}");
        }
        if let Err(error) = market.post_notices().await {
            tracing::error!(code = error.code(), "notices could not be made: {error}");
        }
        let Some(mailer) = &mailer else { continue };
        let mailing = Mailing {
            notifier: &*mailer.notifier,
            links: &links,
            administrators: mailer.administrators.as_ref(),
        };
        match market.send_mails(mailing).await {
            Ok(report) => {
                for (mail, error) in &report.later {
                    let cause = std::error::Error::source(error);
                    tracing::warn!(%mail, cause, "a mail will be tried again");
                }
                for (mail, error) in &report.given_up {
                    let cause = std::error::Error::source(error);
                    tracing::error!(%mail, cause, "a mail was given up");
                }
            }
            Err(error) => tracing::error!(code = error.code(), "mails could not be sent: {error}"),
        }
    }
}

/// Ends what programs were allowed for users whose logins have ended: whoever carried the command out has done so
/// already, unless its process died in between.
pub(crate) async fn end_programs(
    market: &Marketplace,
    oauth: &AuthorizationServer,
) -> Result<usize, MarketError> {
    let events = market.follower_events(LOGINS, EVENTS).await?;
    let mut ended = 0;
    let mut found = false;
    for event in &events {
        let (Event::UserSuspended { user } | Event::PasswordChanged { user } | Event::LoginsEnded { user }) =
            &event.entry.event
        else {
            continue;
        };
        found = true;
        match oauth.end_all_of_user_until(*user, event.entry.at).await {
            Ok(count) => ended += count,
            Err(error) => {
                tracing::error!(%user, "what programs were allowed could not be ended: {error}");
                return Ok(ended);
            }
        }
    }
    if let Some(last) = events.last()
        && (found || events.len() == EVENTS)
    {
        market.follower_reached(LOGINS, last.position).await?;
    }
    Ok(ended)
}
