//! The control socket: HTTP over a Unix socket in the data folder, for `sentral` commands on the same machine.
//!
//! Whoever may open the socket may do everything: it is its owner's alone (mode 0600). `POST /command` carries
//! `model::command`, `POST /reload` loads the configuration again, `GET /cdr`, `GET /recordings`, `GET /trace`, `GET /trace.pcap`
//! and `GET /metrics` read.

use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Json;
use axum::Router;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::shell::http;
use crate::shell::http::log;
use crate::shell::http::metrics::Metrics;
use crate::shell::store::Store;
use crate::shell::store::recordings::RecordingFilter;
use crate::shell::store::state::CdrFilter;
use crate::shell::trace::Trace;
use crate::shell::trace::pcap;
use crate::shell::trace::view;
use crate::shell::trace::view::Filter;

/// Name of the socket in the data folder.
pub const SOCKET: &str = "control.sock";
/// How long the signalling thread may take over an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Longest path of a Unix socket that Linux takes (`sun_path`, with its end).
const PATH_MAX: usize = 107;

/// Gives a command to the signalling thread; the answer comes through the receiver, which is closed without one
/// when the process ends.
pub type Commander = Arc<dyn Fn(Command) -> oneshot::Receiver<Answer> + Send + Sync>;

/// Loads the configuration and gives it to the switch; the problems when it is not sound. May block.
pub type Reload = Arc<dyn Fn() -> Result<(), Vec<String>> + Send + Sync>;

/// What the control socket reaches.
#[derive(Clone)]
pub struct Control {
    /// The switch.
    pub commander: Commander,
    /// Call records.
    pub store: Arc<Store>,
    /// SIP messages.
    pub trace: Trace,
    /// The configuration.
    pub reload: Reload,
    /// The numbers.
    pub metrics: Metrics,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Problems as an answer's body: `{"problems": ["…"]}`.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Problems {
    /// What is wrong, one message each.
    pub problems: Vec<String>,
}

/// A bound control socket, removed when dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl Socket {
    /// Binds the socket; one that a killed process left is replaced.
    ///
    /// # Errors
    /// When another process listens there, something else has that name, or the folder is not writable.
    pub fn bind(path: &Path) -> anyhow::Result<Socket> {
        anyhow::ensure!(
            path.as_os_str().len() <= PATH_MAX,
            "cannot bind control socket {}: a socket's path has at most {PATH_MAX} bytes; choose a shorter data folder",
            path.display()
        );
        remove_stale(path)?;
        let bind = || {
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            io::Result::Ok(listener)
        };
        let listener = bind().with_context(|| {
            format!("cannot bind control socket {}: is the folder writable?", path.display())
        })?;
        Ok(Socket { path: path.into(), listener: Some(listener) })
    }

    /// Serves until `end` is ready; requests that have begun are answered.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(
        mut self,
        control: Control,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let listener = self.listener.take().expect("taken here only, and self is consumed");
        axum::serve(listener, router(control))
            .with_graceful_shutdown(end)
            .await
            .context("control socket failed")
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever starts next would replace it anyway.
        let _ = fs::remove_file(&self.path);
    }
}

fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    anyhow::ensure!(
        there.file_type().is_socket(),
        "cannot bind control socket: {} exists and is no socket; remove it",
        path.display()
    );
    anyhow::ensure!(
        std::os::unix::net::UnixStream::connect(path).is_err(),
        "another sentral answers on {}: stop it, or choose another data folder with --data",
        path.display()
    );
    fs::remove_file(path).with_context(|| format!("cannot remove stale socket {}", path.display()))
}

fn router(control: Control) -> Router {
    Router::new()
        .route("/command", post(command))
        .route("/cdr", get(cdr))
        .route("/recordings", get(recordings))
        .route("/trace", get(trace))
        .route("/trace.pcap", get(trace_pcap))
        .route("/reload", post(reload))
        .route(
            "/metrics",
            get(async |State(control): State<Control>| {
                http::page(&control.metrics, &control.commander).await
            }),
        )
        .with_state(control)
}

async fn command(State(control): State<Control>, Json(command): Json<Command>) -> Response {
    if let Command::Why(ask) = command {
        return from_log(move || log::tell(&control.store, &ask)).await;
    }
    match timeout(ANSWER_WAIT, (control.commander)(command)).await {
        Ok(Ok(Answer::Planned(plan))) => {
            let report = move || log::report(&control.store, plan);
            from_log(move || report().map(|report| Answer::Report(Box::new(report)))).await
        }
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(_)) => {
            failed(StatusCode::SERVICE_UNAVAILABLE, "the switch is stopping, or has no room for commands")
        }
        Err(_) => failed(StatusCode::GATEWAY_TIMEOUT, "the switch did not answer within ten seconds"),
    }
}

/// Answers from the store, which may take a while.
async fn from_log(read: impl FnOnce() -> anyhow::Result<Answer> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn cdr(State(control): State<Control>, Query(filter): Query<CdrFilter>) -> Response {
    let read = tokio::task::spawn_blocking(move || control.store.cdrs(&filter)).await;
    match read {
        Ok(Ok(cdrs)) => Json(cdrs).into_response(),
        Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn recordings(State(control): State<Control>, Query(filter): Query<RecordingFilter>) -> Response {
    let read = tokio::task::spawn_blocking(move || control.store.recordings(&filter)).await;
    match read {
        Ok(Ok(recordings)) => Json(recordings).into_response(),
        Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// SIP messages; with `after` and `wait_s`, as soon as there is one after that.
async fn trace(State(control): State<Control>, Query(filter): Query<Filter>) -> Response {
    if !control.trace.is_on() {
        return failed(
            StatusCode::CONFLICT,
            "tracing is off: set `memory` of [trace] in server.toml and restart",
        );
    }
    if let Some(after) = filter.after {
        control.trace.wait(after, filter.patience()).await;
    }
    match tokio::task::spawn_blocking(move || view::page(&control.trace, &filter)).await {
        Ok(page) => Json(page).into_response(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn trace_pcap(State(control): State<Control>, Query(filter): Query<Filter>) -> Response {
    let made = move || pcap::file(&view::select(&control.trace, &filter).entries);
    match tokio::task::spawn_blocking(made).await {
        Ok(file) => file.into_response(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn reload(State(control): State<Control>) -> Response {
    let loaded = tokio::task::spawn_blocking(move || (control.reload)()).await;
    match loaded {
        Ok(Ok(())) => Json(Problems::default()).into_response(),
        Ok(Err(problems)) => (StatusCode::UNPROCESSABLE_ENTITY, Json(Problems { problems })).into_response(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn failed(status: StatusCode, why: &str) -> Response {
    (status, Json(Problems { problems: vec![why.into()] })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(SOCKET);
        // Left behind: nobody listens any more, the file is there.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        let refused = Socket::bind(&path).unwrap_err().to_string();
        assert!(refused.contains("another sentral answers"), "{refused}");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_and_a_path_too_long_are_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(SOCKET);
        fs::write(&path, "letters").unwrap();
        assert!(Socket::bind(&path).unwrap_err().to_string().contains("is no socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "letters");
        let long = folder.path().join("x".repeat(PATH_MAX));
        assert!(Socket::bind(&long).unwrap_err().to_string().contains("shorter data folder"));
    }
}
