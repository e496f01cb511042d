//! `serve --metrics`: the gate's metrics for Prometheus, at an address of their own.
//!
//! They name nobody, and whoever reaches the address may read them: keep it inside.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use clap::Args;
use i3_broker::{GateMetrics, METRICS_CONTENT_TYPE};
use tokio::net::TcpListener;

use crate::Failure;

/// Whether the gate's metrics are shown.
#[derive(Debug, Clone, Args)]
pub struct MetricsOptions {
    /// Where Prometheus reads the gate's metrics (`GET /metrics`), without a login: keep it inside. By default
    /// nowhere
    #[arg(long, env = "I3_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
}

/// `/metrics`, to be served or merged into another router. Whoever reaches it may read it.
pub fn metrics_router(metrics: GateMetrics) -> Router {
    Router::new().route(
        "/metrics",
        get(async move || {
            ([(CONTENT_TYPE, METRICS_CONTENT_TYPE), (CACHE_CONTROL, "no-store")], metrics.text())
        }),
    )
}

/// Serves `/metrics` for as long as it is polled.
pub(crate) async fn show(listener: TcpListener, metrics: GateMetrics) {
    if let Err(error) = axum::serve(listener, metrics_router(metrics)).await {
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
