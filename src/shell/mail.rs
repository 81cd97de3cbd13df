//! Sends mail through the operator's server (RFC 5321), with the recording of a voicemail message when it is to go along.
//!
//! Nobody waits for it: letters lie in a bounded queue of their own task, and one that fails is tried again after a
//! while, at most [`TRIES`] times within a day. A recording that is gone by then is left out. What lies in the queue
//! does not survive the end of the process: the message itself is in its box.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use lettre::AsyncSmtpTransport;
use lettre::AsyncTransport as _;
use lettre::Tokio1Executor;
use lettre::message::Attachment;
use lettre::message::Mailbox;
use lettre::message::MultiPart;
use lettre::message::SinglePart;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::model::server::MailServer;
use crate::model::server::MailTls;
use crate::switch::letter::Letter;

/// Letters that wait at most, for their first try or another one.
const WAITING_MAX: usize = 1_000;
/// Tries of one letter.
pub const TRIES: u32 = 8;
/// Before the second try; each further one after twice as long, about a day in all.
const AGAIN: Duration = Duration::from_secs(60);
/// One try, from the connection to the last answer.
const TRY_MAX: Duration = Duration::from_secs(60);
/// Audio of one letter.
const AUDIO_MAX: u64 = 20_000_000;

/// The way in, for any thread.
#[derive(Clone, Debug)]
pub struct Mailer {
    letters: mpsc::Sender<Letter>,
}

impl Mailer {
    /// Starts the task that sends; recordings are under `data`. It ends when every way in is gone.
    pub fn start(runtime: &Handle, data: &Path) -> Mailer {
        Mailer::with(runtime, data, AGAIN)
    }

    /// The same with another time before the second try.
    pub fn with(runtime: &Handle, data: &Path, again: Duration) -> Mailer {
        let (letters, receiver) = mpsc::channel(WAITING_MAX);
        let office = Office { data: data.to_owned(), again, waiting: BTreeMap::new(), next: 0 };
        runtime.spawn(office.run(receiver));
        Mailer { letters }
    }

    /// Takes a letter; when too many wait, it is dropped and that is logged.
    pub fn post(&self, letter: Letter) {
        if self.letters.try_send(letter).is_err() {
            dropped("too many mails wait");
        }
    }
}

/// What lies in the queue, by when it is due.
struct Office {
    data: PathBuf,
    again: Duration,
    /// Each with the tries that it has had.
    waiting: BTreeMap<(Instant, u64), (Letter, u32)>,
    next: u64,
}

impl Office {
    async fn run(mut self, mut letters: mpsc::Receiver<Letter>) {
        loop {
            let due = self.waiting.first_key_value().map(|((at, _), _)| *at);
            let sleep = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                letter = letters.recv() => match letter {
                    Some(letter) => self.keep(Instant::now(), letter, 0),
                    None => return,
                },
                () = sleep => self.send_first().await,
            }
        }
    }

    fn keep(&mut self, at: Instant, letter: Letter, tries: u32) {
        if self.waiting.len() >= WAITING_MAX {
            return dropped("too many mails wait");
        }
        self.next += 1;
        self.waiting.insert((at, self.next), (letter, tries));
    }

    async fn send_first(&mut self) {
        let Some((_, (letter, tries))) = self.waiting.pop_first() else { return };
        let tries = tries + 1;
        let sent = match tokio::time::timeout(TRY_MAX, send(&letter, &self.data)).await {
            Ok(sent) => sent,
            Err(_) => Err(anyhow::anyhow!("no answer within {TRY_MAX:?}")),
        };
        match sent {
            Ok(()) => metrics::counter!("sentral_mails_sent_total").increment(1),
            Err(error) if tries >= TRIES => {
                dropped(&format!("{error:#}"));
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    tries,
                    "a mail was not sent and is tried again: see [mail] in server.toml"
                );
                let wait = self.again.saturating_mul(2_u32.saturating_pow(tries - 1));
                self.keep(Instant::now() + wait, letter, tries);
            }
        }
    }
}

fn dropped(why: &str) {
    metrics::counter!("sentral_mails_dropped_total").increment(1);
    tracing::error!(why, "a mail is given up: see [mail] in server.toml; the message is in its box");
}

/// Hands one letter over to its server.
async fn send(letter: &Letter, data: &Path) -> anyhow::Result<()> {
    let message = compose(letter, data).await?;
    transport(&letter.server)?.send(message).await.context("the mail server did not take it")?;
    Ok(())
}

async fn compose(letter: &Letter, data: &Path) -> anyhow::Result<lettre::Message> {
    let from: Mailbox = letter.server.from.parse().context("[mail] from is no address")?;
    let to: Mailbox = letter.to.parse().context("the receiver is no address")?;
    let builder = lettre::Message::builder().from(from).to(to).subject(letter.subject.clone());
    let audio = match &letter.audio {
        Some(file) => recording(&data.join(&**file)).await,
        None => None,
    };
    let text = SinglePart::plain(letter.text.clone());
    let message = match audio {
        Some(audio) => {
            let kind = ContentType::parse("audio/wav").context("a content type")?;
            let audio = Attachment::new("melding.wav".to_owned()).body(audio, kind);
            builder.multipart(MultiPart::mixed().singlepart(text).singlepart(audio))
        }
        None => builder.singlepart(text),
    };
    message.context("the mail cannot be written")
}

/// A recording that can go along; none when it is gone or too long for a mail.
async fn recording(path: &Path) -> Option<Vec<u8>> {
    let length = tokio::fs::metadata(path).await.ok()?.len();
    if length > AUDIO_MAX {
        return None;
    }
    tokio::fs::read(path).await.ok()
}

fn transport(server: &MailServer) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    type Smtp = AsyncSmtpTransport<Tokio1Executor>;
    let builder = match server.tls {
        MailTls::StartTls => Smtp::starttls_relay(&server.host),
        MailTls::Always => Smtp::relay(&server.host),
        MailTls::Off => Ok(Smtp::builder_dangerous(&*server.host)),
    };
    let mut builder = builder.context("[mail] server is no name that a certificate could be for")?;
    builder = builder.timeout(Some(TRY_MAX));
    if let Some(port) = server.port {
        builder = builder.port(port);
    }
    if let (Some(user), Some(password)) = (&server.user, &server.password) {
        builder = builder.credentials(Credentials::new(user.to_string(), password.0.to_string()));
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncBufReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::io::BufReader;
    use tokio::net::TcpListener;

    use super::*;

    /// Takes one connection and gives what was sent as data; `greeting` other than 220 turns it away.
    async fn take_one(listener: &TcpListener, greeting: &str) -> String {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(greeting.as_bytes()).await.expect("a greeting");
        let (mut data, mut in_data) = (String::new(), false);
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = match (in_data, line.split(' ').next().unwrap_or_default()) {
                (true, ".") => {
                    in_data = false;
                    "250 taken\r\n"
                }
                (true, _) => {
                    data.push_str(&line);
                    data.push('\n');
                    continue;
                }
                (false, "DATA") => {
                    in_data = true;
                    "354 go on\r\n"
                }
                (false, "QUIT") => "221 bye\r\n",
                (false, _) => "250 ok\r\n",
            };
            if writer.write_all(answer.as_bytes()).await.is_err() {
                break;
            }
        }
        data
    }

    #[tokio::test]
    async fn a_letter_that_is_turned_away_comes_again_with_its_recording() {
        let data = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(data.path().join("voicemail")).expect("a folder");
        std::fs::write(data.path().join("voicemail/m.wav"), b"RIFFaudio").expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = MailServer {
            host: "127.0.0.1".into(),
            port: Some(port),
            tls: MailTls::Off,
            user: None,
            password: None,
            from: "telefon@prove.example".into(),
        };
        let letter = Letter {
            server: Arc::new(server),
            to: "kari@prove.example".into(),
            subject: "Talebeskjed fra 36 00 07 77 til Kari".into(),
            text: "Du har fått en talebeskjed.\n".into(),
            audio: Some("voicemail/m.wav".into()),
        };
        let mailer = Mailer::with(&Handle::current(), data.path(), Duration::from_millis(1));
        mailer.post(letter.clone());
        assert_eq!(take_one(&listener, "421 not now\r\n").await, "");
        let taken = take_one(&listener, "220 mail\r\n").await;
        assert!(taken.contains("Subject: Talebeskjed fra 36 00 07 77 til Kari"), "{taken}");
        assert!(taken.contains("To: kari@prove.example") && taken.contains("audio/wav"), "{taken}");
        assert!(taken.contains("UklGRmF1ZGlv"), "the recording goes along: {taken}");
        // A recording that is gone by then does not hold the mail back.
        std::fs::remove_file(data.path().join("voicemail/m.wav")).expect("it was there");
        mailer.post(letter);
        let taken = take_one(&listener, "220 mail\r\n").await;
        assert!(taken.contains("fått") || taken.contains("f=C3=A5tt"), "{taken}");
        assert!(!taken.contains("audio/wav"), "{taken}");
    }
}
