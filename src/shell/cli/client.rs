//! The other end of the control socket: one HTTP request over one connection, with an answer or a [`Failure`].

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::Request;
use hyper::StatusCode;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::model::command::Answer;
use crate::model::command::Command;
use crate::model::server::Server;
use crate::shell::cli::Failure;
use crate::shell::http::control::Problems;
use crate::shell::http::control::SOCKET;

/// A way to the running daemon.
#[derive(Debug)]
pub(super) struct Client {
    socket: PathBuf,
    /// Data folder.
    pub(super) data: PathBuf,
    /// Zone of the server, for times on the command line.
    pub(super) zone: String,
}

/// The folder asked for, else `./config` if it is there, else `/etc/sentral`.
pub(super) fn config_folder(given: Option<PathBuf>) -> PathBuf {
    let here = Path::new("config");
    given.unwrap_or_else(|| if here.is_dir() { here.into() } else { "/etc/sentral".into() })
}

impl Client {
    /// Finds the socket: the given one, or the one in the data folder, given or named by `server.toml`. Of that
    /// file only two keys are read, so a mistake elsewhere in it does not keep anybody from asking.
    pub(super) fn new(socket: Option<PathBuf>, data: Option<&Path>, config: &Path) -> Client {
        let text = fs::read_to_string(config.join("server.toml")).unwrap_or_default();
        let file: toml::Table = text.parse().unwrap_or_default();
        let key = |name: &str| file.get("server")?.get(name)?.as_str().map(str::to_owned);
        let usual = Server::default();
        let data = data.map(Path::to_owned).or_else(|| key("data").map(PathBuf::from)).unwrap_or(usual.data);
        let zone = key("timezone").unwrap_or_else(|| usual.zone.to_string());
        let socket = socket.unwrap_or_else(|| data.join(SOCKET));
        Client { socket, data, zone }
    }

    /// Gives the daemon an order or a question. A refusal is a [`Failure`].
    pub(super) fn ask(&self, command: &Command) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(command).context("cannot write the command as JSON")?;
        match self.fetch("POST", "/command", body)? {
            Answer::Refused { why, not_found: true } => Err(Failure::NotFound(why)),
            Answer::Refused { why, not_found: false } => Err(Failure::Error(anyhow::anyhow!(why))),
            answer => Ok(answer),
        }
    }

    /// Sends a request and reads the JSON of its answer.
    pub(super) fn fetch<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let answer = self.fetch_bytes(method, path, body)?;
        let read = "cannot read the answer from the daemon: is it of another version?";
        Ok(serde_json::from_slice(&answer).context(read)?)
    }

    /// Sends a request; its answer as it came.
    pub(super) fn fetch_bytes(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Bytes, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the client")?;
        let (status, answer) = runtime.block_on(self.exchange(method, path, body))?;
        if status.is_success() {
            return Ok(answer);
        }
        let problems = match serde_json::from_slice(&answer) {
            Ok(Problems { problems }) => problems,
            Err(_) => vec![String::from_utf8_lossy(&answer).into_owned()],
        };
        if status == StatusCode::UNPROCESSABLE_ENTITY && path == "/reload" {
            return Err(Failure::Config(problems));
        }
        Err(Failure::Error(anyhow::anyhow!("the daemon answers {status}: {}", problems.join("; "))))
    }

    /// The daemon's process, while it listens.
    pub(super) fn daemon(&self) -> Option<i32> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let stream = runtime.block_on(UnixStream::connect(&self.socket)).ok()?;
        stream.peer_cred().ok()?.pid()
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
        let lost = || format!("lost the connection to the daemon on {}", self.socket.display());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.with_context(lost)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .context("cannot make the request")?;
        let response = sender.send_request(request).await.with_context(lost)?;
        let status = response.status();
        let body = response.into_body().collect().await.with_context(lost)?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, error: io::Error) -> Failure {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::NotRunning(format!(
                "no sentral answers on {socket}: start one with `sentral serve`, or say where it is with --config, --data or --socket"
            )),
            _ => {
                Failure::Error(anyhow::Error::new(error).context(format!(
                    "cannot use {socket}: become the daemon's user, for example with sudo -u"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::oneshot;

    use super::*;
    use crate::model::cdr::Cdr;
    use crate::model::command::Status;
    use crate::shell::http::control::Control;
    use crate::shell::http::control::Socket;
    use crate::shell::http::metrics::Metrics;
    use crate::shell::store::Store;

    fn answer(command: Command) -> Answer {
        match command {
            Command::Status => Answer::Status(Box::new(Status { calls: 3, ..Status::default() })),
            other => Answer::Refused { why: format!("no: {other:?}"), not_found: true },
        }
    }

    fn client(folder: &Path) -> Client {
        Client::new(None, Some(folder), folder)
    }

    #[test]
    fn questions_go_over_the_control_socket_and_refusals_come_back() {
        let folder = tempfile::TempDir::new().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let control = Control {
            commander: Arc::new(|command| {
                let (reply, wait) = oneshot::channel();
                let _ = reply.send(answer(command));
                wait
            }),
            store: Arc::new(store),
            trace: crate::shell::trace::Trace::default(),
            reload: Arc::new(|| Err(vec!["trunks.toml:3:1: unknown key".into()])),
            metrics: Metrics::detached(),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let socket = runtime.block_on(async { Socket::bind(&folder.path().join(SOCKET)).unwrap() });
        let (end, ended) = oneshot::channel::<()>();
        let served = runtime.spawn(socket.serve(control, async { _ = ended.await }));

        let client = client(folder.path());
        assert!(matches!(client.ask(&Command::Status), Ok(Answer::Status(status)) if status.calls == 3));
        assert!(matches!(client.ask(&Command::Calls), Err(Failure::NotFound(why)) if why == "no: Calls"));
        let path = "/cdr?limit=5&since=2027-05-17T08:00:00Z&company=fjord";
        assert!(client.fetch::<Vec<Cdr>>("GET", path, Vec::new()).unwrap().is_empty());
        let reloaded = client.fetch::<Problems>("POST", "/reload", Vec::new());
        assert!(
            matches!(reloaded, Err(Failure::Config(problems)) if problems == ["trunks.toml:3:1: unknown key"])
        );
        let unknown = client.fetch::<Vec<Cdr>>("GET", "/cdr?limit=many", Vec::new());
        assert!(matches!(unknown, Err(Failure::Error(_))));

        end.send(()).unwrap();
        runtime.block_on(served).unwrap().unwrap();
        assert!(matches!(client.ask(&Command::Status), Err(Failure::NotRunning(_))));
    }

    #[test]
    fn without_a_daemon_the_way_to_start_one_is_told() {
        let folder = tempfile::TempDir::new().unwrap();
        let Err(Failure::NotRunning(why)) = client(folder.path()).ask(&Command::Status) else {
            panic!("somebody answered");
        };
        assert!(why.contains("sentral serve"), "{why}");
    }

    #[test]
    fn socket_and_zone_are_those_of_the_servers_file() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::write(
            folder.path().join("server.toml"),
            "[server]\ndata = \"/srv/s\"\ntimezone = \"Europe/London\"\n",
        )
        .unwrap();
        let client = Client::new(None, None, folder.path());
        assert_eq!(
            (client.socket.to_str(), client.zone.as_str()),
            (Some("/srv/s/control.sock"), "Europe/London")
        );
    }
}
