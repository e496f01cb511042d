//! `serve --metrics`: the gate's metrics for Prometheus, and what this server had no room for, at an address of their own.
//!
//! They name nobody, and whoever reaches the address may read them: keep it inside.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use clap::Args;
use i3_broker::{GateMetrics, METRICS_CONTENT_TYPE};
use tokio::net::TcpListener;

use crate::{Access, Failure};

/// Whether the gate's metrics are shown.
#[derive(Debug, Clone, Args)]
pub struct MetricsOptions {
    /// Where Prometheus reads the gate's metrics (`GET /metrics`), without a login: keep it inside. By default
    /// nowhere
    #[arg(long, env = "I3_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
}

/// `/metrics`, to be served or merged into another router. Whoever reaches it may read it.
pub fn metrics_router(metrics: GateMetrics, access: Access) -> Router {
    Router::new().route(
        "/metrics",
        get(async move || {
            let text = metrics.text() + &lost(&access);
            ([(CONTENT_TYPE, METRICS_CONTENT_TYPE), (CACHE_CONTROL, "no-store")], text)
        }),
    )
}

/// What was not written since there was too much of it.
fn lost(access: &Access) -> String {
    let mut text = String::new();
    for (name, help, lost) in [
        ("i3_denials_lost_total", "Denials that there was no room to take down.", access.denials.lost()),
        (
            "i3_observations_lost_total",
            "Things that people looked at or found and that there was no room to remember.",
            access.observations.as_ref().map_or(0, |queue| queue.lost()),
        ),
    ] {
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {lost}\n");
    }
    text
}

/// Serves `/metrics` for as long as it is polled.
pub(crate) async fn show(listener: TcpListener, metrics: GateMetrics, access: Access) {
    if let Err(error) = axum::serve(listener, metrics_router(metrics, access)).await {
        tracing::error!(%error, "the metrics are shown no more");
    }
}

impl MetricsOptions {
    /// Listens where the metrics are to be shown.
    pub(crate) async fn listen(&self) -> Result<Option<TcpListener>, Failure> {
        match self.metrics {
            Some(address) => crate::serve::listen(address).await.map(Some),
            None => Ok(None),
        }
    }
}
