//! What of the ring somebody wants to see, with secrets masked: a call with all its legs, a user, a number.
//!
//! A call is known by its number in Sentral or by a Call-ID of any of its legs. A user or number is found in From, To
//! and Request-URI, and brings the whole dialog with it. Runs where it may take its time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::id::CallId;
use crate::shell::trace::Trace;
use crate::shell::trace::mask::masked;
use crate::shell::trace::ring::Entry;
use crate::shell::trace::ring::Leg;
use crate::sip::Message;
use crate::sip::message::Name;

/// Messages given at a time; of more, the newest.
const MESSAGES_MAX: usize = 10_000;
/// Longest that somebody may wait for a message.
const PATIENCE_MAX_S: u64 = 60;

/// Which messages; of several wishes all must be met.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Filter {
    /// Of this call: its number in Sentral, or a Call-ID of one of its legs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Of dialogs from or to this user, device or SIP user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of dialogs from or to numbers that end so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// To or from this address, with or without port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Requests of this method and their responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// At this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// From this number on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How long to wait for a message of number `after` or later, in seconds; 60 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u64>,
}

impl Filter {
    /// How long whoever asks is ready to wait.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.wait_s.unwrap_or(0).min(PATIENCE_MAX_S))
    }
}

/// Messages as they are shown.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Page {
    /// Oldest first.
    pub messages: Vec<View>,
    /// Parties of the calls that the messages belong to.
    pub legs: Vec<Leg>,
    /// The number to go on from.
    pub next: u64,
}

/// One message.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct View {
    /// Its number, rising by one.
    pub seq: u64,
    /// When it came or went.
    pub at: Timestamp,
    /// Came, or went.
    pub incoming: bool,
    /// `UDP`, `TCP`, `TLS`, `WS` or `WSS`.
    pub transport: String,
    /// Our address.
    pub local: SocketAddr,
    /// Theirs.
    pub remote: SocketAddr,
    /// `INVITE`, `200 OK`, `unreadable`.
    pub what: String,
    /// Number and method.
    pub cseq: String,
    /// Empty when it could not be read.
    pub call_id: String,
    /// The message, secrets masked; octets that are not UTF-8 are shown as `�`.
    pub text: String,
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// Oldest first, secrets included.
    pub entries: Vec<Entry>,
    /// Parties of their calls.
    pub legs: Vec<Leg>,
    /// The number to go on from.
    pub next: u64,
}

/// What a message says about itself.
struct Summary {
    what: String,
    cseq: String,
    method: String,
    call_id: String,
    users: Vec<String>,
}

/// Chooses messages and shows them.
pub fn page(trace: &Trace, filter: &Filter) -> Page {
    let Selected { entries, legs, next } = select(trace, filter);
    let view = |entry: &Entry| {
        let Summary { what, cseq, call_id, .. } = summary(entry);
        View {
            seq: entry.seq,
            at: entry.at,
            incoming: entry.incoming,
            transport: entry.hop.transport.via().to_owned(),
            local: entry.hop.local,
            remote: entry.hop.remote,
            what,
            cseq,
            call_id,
            text: String::from_utf8_lossy(&masked(&entry.bytes)).into_owned(),
        }
    };
    Page { messages: entries.iter().map(view).collect(), legs, next }
}

/// Chooses messages.
pub fn select(trace: &Trace, filter: &Filter) -> Selected {
    // Asked before the entries are, so that none is passed over.
    let next = trace.next();
    let entries = trace.all(filter.after.unwrap_or(0));
    let next = entries.last().map_or(next, |entry| entry.seq + 1);
    let legs = trace.legs();
    let of_call = filter.call.as_deref().map(|call| call_ids(call, &legs));
    let mut dialogs: BTreeSet<String> = BTreeSet::new();
    let read: Vec<(Entry, Summary)> = entries
        .into_iter()
        .map(|entry| {
            let summary = summary(&entry);
            (entry, summary)
        })
        .collect();
    let wanted = |summary: &Summary| {
        let user = filter.user.as_deref().is_none_or(|user| {
            let party = |leg: &Leg| *leg.call_id == *summary.call_id && *leg.party == *user;
            summary.users.iter().any(|of| of == user) || legs.iter().any(party)
        });
        let number = filter.number.as_deref().is_none_or(|number| {
            let digits = number.trim_start_matches('+');
            summary.users.iter().any(|user| user.ends_with(digits))
        });
        user && number
    };
    let by_dialog = filter.user.is_some() || filter.number.is_some();
    if by_dialog {
        let found = read.iter().filter(|(_, summary)| wanted(summary));
        dialogs.extend(found.map(|(_, summary)| summary.call_id.clone()));
    }
    let shown = |(entry, summary): &(Entry, Summary)| {
        of_call.as_ref().is_none_or(|ids| ids.contains(&summary.call_id))
            && (!by_dialog || dialogs.contains(&summary.call_id))
            && filter.address.as_deref().is_none_or(|address| is_at(entry.hop.remote, address))
            && filter.method.as_deref().is_none_or(|method| summary.method.eq_ignore_ascii_case(method))
            && filter.since.is_none_or(|since| entry.at >= since)
    };
    let mut chosen: Vec<(Entry, Summary)> = read.into_iter().filter(shown).collect();
    chosen.drain(..chosen.len().saturating_sub(MESSAGES_MAX));
    let ids: BTreeSet<&str> = chosen.iter().map(|(_, summary)| &*summary.call_id).collect();
    let legs = legs.into_iter().filter(|leg| ids.contains(&*leg.call_id)).collect();
    Selected { entries: chosen.into_iter().map(|(entry, _)| entry).collect(), legs, next }
}

/// Call-IDs of all legs of a call that is named by its number or by one of them.
fn call_ids(call: &str, legs: &[Leg]) -> BTreeSet<String> {
    let number: Option<CallId> = call.parse().ok();
    let calls: BTreeSet<CallId> = legs
        .iter()
        .filter(|leg| Some(leg.call) == number || *leg.call_id == *call)
        .map(|leg| leg.call)
        .collect();
    let mut ids: BTreeSet<String> =
        legs.iter().filter(|leg| calls.contains(&leg.call)).map(|leg| leg.call_id.to_string()).collect();
    // Also one that never became a call, such as a registration.
    ids.insert(call.to_owned());
    ids
}

fn is_at(remote: SocketAddr, address: &str) -> bool {
    match address.parse::<IpAddr>() {
        Ok(ip) => remote.ip() == ip,
        Err(_) => address.parse() == Ok(remote),
    }
}

fn summary(entry: &Entry) -> Summary {
    let Ok(message) = Message::parse(entry.bytes.clone(), usize::MAX) else {
        return Summary {
            what: "unreadable".into(),
            cseq: String::new(),
            method: String::new(),
            call_id: String::new(),
            users: Vec::new(),
        };
    };
    let headers = message.headers();
    let call_id = headers.get(&Name::CallId).unwrap_or_default().into_owned();
    let (what, cseq, mut users, from, to) = match &message {
        Message::Request(request) => {
            let uri = request.uri.user().map(str::to_owned);
            let what = request.method.as_str().to_owned();
            (what, request.cseq(), Vec::from_iter(uri), request.from(), request.to())
        }
        Message::Response(response) => {
            let what = format!("{} {}", response.status, response.reason);
            (what, response.cseq(), Vec::new(), response.from(), response.to())
        }
    };
    let named = [from, to].into_iter().flatten();
    users.extend(named.filter_map(|party| party.uri.user().map(str::to_owned)));
    Summary {
        what,
        cseq: cseq.as_ref().map(|cseq| format!("{} {}", cseq.number, cseq.method)).unwrap_or_default(),
        method: cseq.map(|cseq| cseq.method.to_string()).unwrap_or_default(),
        call_id,
        users,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::change::Change;
    use crate::sip::Hop;
    use crate::sip::Transport;

    fn message(start: &str, from: &str, call_id: &str, cseq: &str) -> Bytes {
        Bytes::from(format!(
            "{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:{from}@h>;tag=1\r\nTo: <sip:bo@h>\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq}\r\nAuthorization: Digest response=\"geheim\"\r\n\r\n"
        ))
    }

    #[test]
    fn a_filter_finds_calls_with_all_their_legs_dialogs_and_methods() {
        let hop = |remote: &str| Hop {
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: remote.parse().unwrap(),
            connection: None,
        };
        let trace = Trace::new(1_000_000);
        let (carrier, phone) = (hop("127.0.0.2:5060"), hop("127.0.0.3:5070"));
        let invite = "INVITE sip:+4722000000@h SIP/2.0";
        trace.received(&carrier, &message(invite, "+4799", "a@carrier", "1 INVITE"));
        trace.sent(&carrier, &message("SIP/2.0 100 Trying", "+4799", "a@carrier", "1 INVITE"));
        trace.sent(&phone, &message("INVITE sip:anna@h SIP/2.0", "+4799", "b", "7 INVITE"));
        trace.received(&phone, &message("REGISTER sip:h SIP/2.0", "anna", "c", "1 REGISTER"));
        trace.received(&phone, &Bytes::from_static(b"nonsense that nobody reads"));
        for (call_id, party) in [("a@carrier", "trunk linje"), ("b", "anna")] {
            trace.told(&Change::CallLeg {
                call: "0-2a".parse().unwrap(),
                call_id: call_id.into(),
                party: party.into(),
            });
        }
        let text = |text: &str| Some(text.to_owned());
        let all = Filter::default;
        let rows = [
            (all(), vec![0, 1, 2, 3, 4]),
            (Filter { call: text("0-2a"), ..all() }, vec![0, 1, 2]),
            (Filter { call: text("b"), ..all() }, vec![0, 1, 2]),
            (Filter { call: text("c"), ..all() }, vec![3]),
            (Filter { call: text("0-2b"), ..all() }, vec![]),
            (Filter { user: text("anna"), ..all() }, vec![2, 3]),
            (Filter { number: text("+4722000000"), ..all() }, vec![0, 1]),
            (Filter { method: text("invite"), ..all() }, vec![0, 1, 2]),
            (Filter { address: text("127.0.0.3"), ..all() }, vec![2, 3, 4]),
            (Filter { address: text("127.0.0.3:5071"), ..all() }, vec![]),
            (Filter { after: Some(3), ..all() }, vec![3, 4]),
            (Filter { since: Some(Timestamp::MAX), ..all() }, vec![]),
        ];
        for (filter, expected) in rows {
            let page = page(&trace, &filter);
            assert_eq!(page.messages.iter().map(|m| m.seq).collect::<Vec<_>>(), expected, "{filter:?}");
            assert_eq!(page.next, 5);
            assert!(page.messages.iter().all(|message| !message.text.contains("geheim")));
        }
        let page = page(&trace, &all());
        let what: Vec<_> = page.messages.iter().map(|m| (&*m.what, &*m.cseq)).collect();
        assert_eq!(
            what,
            [
                ("INVITE", "1 INVITE"),
                ("100 Trying", "1 INVITE"),
                ("INVITE", "7 INVITE"),
                ("REGISTER", "1 REGISTER"),
                ("unreadable", "")
            ]
        );
        assert_eq!(page.legs.len(), 2);
        // One that is off keeps nothing.
        assert_eq!(super::page(&Trace::default(), &all()), Page::default());
    }
}
