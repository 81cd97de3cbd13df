//! HTTP that the daemon serves: the control socket for its own command line, and metrics.
//!
//! Left to a later version: the portal and its API.

pub mod control;
pub(crate) mod log;
pub mod metrics;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::shell::http::control::Commander;
use crate::shell::http::metrics::Metrics;

/// How long a scrape waits for the signalling thread; without its answer the gauges keep their values.
const GAUGES_WAIT: Duration = Duration::from_secs(2);

/// Serves `/metrics` over TCP until `end` is ready.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve_metrics(
    listen: SocketAddr,
    metrics: Metrics,
    commander: Commander,
    end: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot serve metrics on {listen}: is the address in use?"))?;
    let page = get(async move || page(&metrics, &commander).await);
    axum::serve(listener, Router::new().route("/metrics", page))
        .with_graceful_shutdown(end)
        .await
        .context("metrics listener failed")
}

/// The metrics in text form, with gauges of this moment.
pub(crate) async fn page(metrics: &Metrics, commander: &Commander) -> String {
    for question in [Command::Status, Command::Queues { company: None }, Command::Trunks] {
        let answer = tokio::time::timeout(GAUGES_WAIT, commander(question)).await;
        match answer {
            Ok(Ok(Answer::Status(status))) => metrics::status(&status),
            Ok(Ok(Answer::Queues { queues })) => metrics::queues(&queues),
            Ok(Ok(Answer::Trunks { trunks })) => metrics::trunks(&trunks),
            Ok(_) => {}
            // The others would wait as long.
            Err(_) => break,
        }
    }
    metrics.render()
}
