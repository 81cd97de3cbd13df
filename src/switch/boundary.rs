//! What the core and the shell say to each other: inputs in, outputs out, and questions that the shell answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::media;
use crate::media::ClipName;
use crate::model::Config;
use crate::model::change::Change;
use crate::model::command;
use crate::sip;
use crate::switch::asking::Post;
use crate::switch::flow::action::Unanswered;
use crate::switch::letter::Letter;

/// One question to the shell; its answer comes back as `Input::Answer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// One order from a person; answered by `Output::Reply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What happens to a switch.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message arrived; a connection closed; sending failed.
    Sip(sip::Input),
    /// Who is at the other end of a TLS connection is proved; comes before anything that is said along it.
    Opened {
        /// Which.
        connection: sip::ConnectionId,
        /// SIP domains in the verified certificate (RFC 5922 §7.1), in small letters.
        names: Vec<Arc<str>>,
    },
    /// Nothing was said along a connection for `limits.idle`; answered by `Output::Close` unless something hangs on
    /// it.
    Idle {
        /// Which.
        connection: sip::ConnectionId,
    },
    /// A media thread says something.
    Media(media::Event),
    /// A fact from the store (at start), or from another node.
    Change(Change),
    /// What is read from the network now has waited for so long, at most; told while it is more than nothing.
    Waited(Duration),
    /// A new configuration.
    Config(Arc<Config>),
    /// The answer to an `Output::Ask`.
    Answer {
        /// Which question.
        id: AskId,
        /// What was found.
        answer: Answer,
    },
    /// A person's order.
    Command {
        /// Names it in the reply.
        id: CommandId,
        /// What.
        command: command::Command,
    },
}

/// What a switch wants done, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this.
    Transmit(sip::Transmit),
    /// Close this connection: it is idle, and nothing hangs on it.
    Close(sip::ConnectionId),
    /// Do this on the stream's media thread.
    Media(media::Command),
    /// Others must know this; facts that the store keeps are durable before a later `Transmit` is sent.
    Change(Change),
    /// Find this out.
    Ask {
        /// Names it in the answer.
        id: AskId,
        /// What.
        ask: Ask,
    },
    /// The answer to an order.
    Reply {
        /// Which order.
        id: CommandId,
        /// What came of it.
        answer: command::Answer,
    },
    /// Drop what comes from here (an address, or the first of a /64) before it is read; zero ends it.
    ShutOut {
        /// As `guard::network` makes it.
        network: IpAddr,
        /// For how long.
        long: Duration,
    },
    /// Every call is over after `Command::Drain`: the process may end.
    Drained,
}

/// What the core cannot know by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Addresses of a carrier or contact (RFC 3263), best first.
    Resolve {
        /// Host name or address.
        host: Arc<str>,
        /// Port, when given.
        port: Option<u16>,
        /// Wanted transport; without one the host's NAPTR records decide, and UDP when it has none.
        transport: Option<sip::Transport>,
    },
    /// Put a recording (`voicemail/<id>.wav`) into the media bank under its name.
    LoadClip {
        /// File under the data folder, and its name in the bank.
        file: Arc<str>,
    },
    /// Ask another system over HTTP.
    Post(Post),
    /// Take a recording into use: it is moved, and is in the media bank under this name from then on.
    KeepClip {
        /// File under the data folder.
        file: Arc<str>,
        /// Where it goes, under the data folder.
        to: Arc<str>,
        /// Its name in the bank.
        clip: ClipName,
    },
    /// Make a copy of a recording.
    CopyFile {
        /// File under the data folder.
        file: Arc<str>,
        /// The copy's.
        to: Arc<str>,
    },
    /// Send a mail; trying again, if need be, is the shell's.
    Mail(Box<Letter>),
    /// Delete a recording that is no message.
    DeleteFile {
        /// File under the data folder.
        file: Arc<str>,
    },
}

/// What the shell found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `Resolve`.
    Resolved {
        /// Where to send, best first, each with our own address towards it; empty when the name is not known.
        hops: Vec<sip::Hop>,
        /// For how long that may be believed, from 5 s to 1 h.
        ttl: Duration,
    },
    /// The clip is in the bank (or cannot be read).
    Loaded(bool),
    /// What another system said with status 200, or why it did not.
    Posted(Result<Vec<u8>, Unanswered>),
    /// Done.
    Done,
}
