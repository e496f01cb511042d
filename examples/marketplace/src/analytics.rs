//! What people did: taken down as it comes, and whether anything is recommended because of it.

use std::time::Duration;

use clap::Args;
use i3_core::analytics::{History, LeastPeople};
use i3_core::market::{MarketError, Marketplace};
use tokio::time::MissedTickBehavior;

use crate::{Access, AssemblyConfig, Failure};

/// How many things each of a person's histories holds if nothing is said.
pub(crate) const KEPT: usize = 200;
/// How often what people did is taken down.
const EVERY: Duration = Duration::from_millis(500);

/// What is remembered of what people do, and what for.
#[derive(Debug, Clone, Args)]
pub struct AnalyticsOptions {
    /// How many things are remembered that each person last looked at, as many found, rated and bought: 0 to 300; with 0
    /// nothing is taken down
    #[arg(long, env = "I3_ANALYTICS_KEPT", value_name = "NUMBER", default_value_t = KEPT, value_parser = kept)]
    pub analytics_kept: usize,
    /// Recommends what people of one's own domain used, at `GET /recommendations`, once so many of them did: 2 or
    /// more, 5 if no number is said. By default nothing is recommended
    #[arg(long, env = "I3_RECOMMENDATIONS", value_name = "PEOPLE", num_args = 0..=1, default_missing_value = "5")]
    pub recommendations: Option<LeastPeople>,
}

fn kept(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(kept) if kept <= History::MAX => Ok(kept),
        _ => Err(format!("0 to {} are expected", History::MAX)),
    }
}

impl AnalyticsOptions {
    /// Puts into a configuration what is meant.
    pub(crate) fn say(&self, config: &mut AssemblyConfig) -> Result<(), Failure> {
        if self.analytics_kept == 0 && self.recommendations.is_some() {
            let reason = "--recommendations: with --analytics-kept 0 there is nothing to recommend by";
            return Err(Failure::usage("invalid_recommendations", reason));
        }
        config.analytics_kept = self.analytics_kept;
        config.recommendations = self.recommendations;
        Ok(())
    }
}

/// Takes down what people did since the last call, and returns how much that was.
pub(crate) async fn write(market: &Marketplace, access: &Access, kept: usize) -> Result<usize, MarketError> {
    // First, so that who is not to be observed any more is not.
    let mut written = market.follow_observations(kept).await?;
    if let Some(queue) = &access.observations {
        written += market.write_observations(queue, kept).await?;
    }
    Ok(written)
}

/// Takes down what people do, as it comes, for as long as it is polled. What fails is tried again.
pub(crate) async fn take_down(market: Marketplace, access: Access, kept: usize) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    loop {
        ticks.tick().await;
        match write(&market, &access, kept).await {
            Ok(_) => failed = false,
            // Said once: an outage has many ticks.
            Err(error) if !std::mem::replace(&mut failed, true) => {
                tracing::error!(code = error.code(), "what people did could not be written: {error}");
            }
            Err(_) => {}
        }
    }
}
