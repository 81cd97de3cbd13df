//! MESSAGE in pager mode (RFC 3428): a text from a device of a company, or from a trunk, to all devices of a user.
//!
//! The sender is who we know it to be, whatever its From says. The sender's answer is the best of the receivers'
//! answers. Left out: MESSAGE inside a call's dialog, to queues and groups, and to the outside (404): no carrier is
//! asked to carry texts.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use crate::model::flow::Destination;
use crate::model::id::CompanyId;
use crate::model::id::TrunkId;
use crate::model::id::UserKey;
use crate::model::number;
use crate::sip::Body;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Method;
use crate::sip::Request;
use crate::sip::TransactionId;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::endpoint::OutOfDialog;
use crate::sip::header::NameAddr;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::admission::Admitted;
use crate::switch::identity;
use crate::switch::location::Binding;
use crate::switch::subscriptions::Watcher;
use crate::switch::watch::Named;
use crate::time::Now;

/// Longest text.
const BODY_MAX: usize = 8 * 1024;
/// Longest text along a UDP hop: with its headers it must stay below 1300 bytes where nothing slows senders down
/// (RFC 3428 §8).
const UDP_BODY_MAX: usize = 900;
/// Messages whose receivers have not answered.
const PENDING_MAX: usize = 5_000;
/// Bindings that one message goes to.
const RECEIVERS_MAX: usize = 20;
/// The sender has its answer before its own transaction gives up after 32 s (RFC 4320 §4.2 forbids a later one).
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How many messages a sender may send at once, and how fast that is given back.
const USER_RATE: Rate = Rate { burst: 20, every: Duration::from_millis(500) };
const TRUNK_RATE: Rate = Rate { burst: 200, every: Duration::from_millis(20) };

/// So many at once, then one every so often.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    every: Duration,
}

/// Who sends; there are no more than the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sender {
    User(UserKey),
    Trunk(TrunkId),
}

/// A message on its way.
#[derive(Debug)]
struct Pending {
    /// Receivers that have not answered.
    left: BTreeSet<TransactionId>,
    /// The best refusal.
    best: u16,
}

/// Messages on their way, and how much each sender has sent.
#[derive(Debug, Default)]
pub(crate) struct Pager {
    /// By the sender's transaction.
    pending: HashMap<TransactionId, Pending>,
    /// The receivers' transactions, and whose message they carry.
    receivers: HashMap<TransactionId, TransactionId>,
    /// When each sender has its whole burst back; who has it stands here no longer.
    spent: HashMap<Sender, Instant>,
}

impl Pager {
    /// Takes one message from what a sender may send; the seconds to wait when there is none left.
    fn spend(&mut self, now: Now, sender: Sender) -> Result<(), u64> {
        let rate = match sender {
            Sender::User(_) => USER_RATE,
            Sender::Trunk(_) => TRUNK_RATE,
        };
        if self.spent.len() >= PENDING_MAX {
            self.spent.retain(|_, whole| *whole > now.mono);
        }
        let whole = self.spent.get(&sender).map_or(now.mono, |whole| (*whole).max(now.mono)) + rate.every;
        let ahead = whole.duration_since(now.mono);
        if ahead > rate.every * rate.burst {
            return Err((ahead - rate.every * rate.burst).as_secs() + 1);
        }
        self.spent.insert(sender, whole);
        Ok(())
    }
}

/// What a message is to be sent as.
struct Text {
    from: NameAddr,
    asserted: Option<String>,
    body: Body,
    content: Extra,
}

impl Switch {
    pub(crate) fn on_message(&mut self, now: Now, transaction: TransactionId, request: &Request, hop: Hop) {
        if let Err((status, extra)) = self.page(now, transaction, request, hop) {
            self.endpoint.respond(now, transaction, status, extra, None);
        }
    }

    /// Sends a message on to all devices of whom it names.
    fn page(
        &mut self,
        now: Now,
        transaction: TransactionId,
        request: &Request,
        hop: Hop,
    ) -> Result<(), (u16, Extra)> {
        let refuse = |status: u16| (status, Vec::new());
        let admitted = self.admit(now, request, hop)?;
        if request.body.len() > BODY_MAX {
            return Err(refuse(413));
        }
        let sender = match &admitted {
            Admitted::Device { company, user } => {
                Sender::User(UserKey { company: company.clone(), user: user.clone() })
            }
            Admitted::Trunk(trunk) => Sender::Trunk(trunk.clone()),
        };
        let wait = |seconds: u64| (503, vec![("Retry-After", seconds.to_string())]);
        self.pager.spend(now, sender).map_err(wait)?;
        if self.pager.pending.len() >= PENDING_MAX {
            return Err(wait(1));
        }
        let to = self.addressee(&admitted, request).ok_or(refuse(404))?;
        let text = self.text(&admitted, &to.company, request).ok_or(refuse(404))?;
        let bindings = self.devices_of(&to).iter().flat_map(|aor| self.location.of(aor));
        let bindings: Vec<Binding> = bindings.take(RECEIVERS_MAX).cloned().collect();
        if bindings.is_empty() {
            return Err(refuse(480));
        }
        let fits = |binding: &&Binding| {
            binding.hop.transport != Transport::Udp || request.body.len() <= UDP_BODY_MAX
        };
        let left: BTreeSet<TransactionId> = bindings
            .iter()
            .filter(fits)
            .filter_map(|binding| self.page_device(now, binding, &text))
            .collect();
        if left.is_empty() {
            return Err(refuse(413));
        }
        self.pager.receivers.extend(left.iter().map(|receiver| (*receiver, transaction)));
        self.pager.pending.insert(transaction, Pending { left, best: 0 });
        self.timers.set(Timer::Message(transaction), now.mono + ANSWER_WITHIN);
        Ok(())
    }

    /// Whose devices get a message: a colleague, or the user who has a public number.
    fn addressee(&self, admitted: &Admitted, request: &Request) -> Option<UserKey> {
        let name = request.uri.user()?;
        match admitted {
            Admitted::Device { company, user } => {
                // Names are read as for lamps; which of the user's devices asks makes no difference.
                let watcher = Watcher { company: company.clone(), device: "".into(), user: user.clone() };
                match self.named(&watcher, name)? {
                    Named::User(user) => Some(UserKey { company: company.clone(), user }),
                    Named::Line(_) | Named::Mailbox(_) | Named::Toggle(_) | Named::Service(_) => None,
                }
            }
            Admitted::Trunk(_) => match self.config.numbers.get(&number::read(name)?)? {
                (company, Destination::User(user)) => {
                    Some(UserKey { company: company.clone(), user: user.clone() })
                }
                _ => None,
            },
        }
    }

    /// The message as its receivers see it: from whom we know the sender to be.
    fn text(&self, admitted: &Admitted, company: &CompanyId, request: &Request) -> Option<Text> {
        let company = self.config.companies.get(company)?;
        let facts = match admitted {
            Admitted::Device { user, .. } => identity::caller_user(company, user),
            Admitted::Trunk(trunk) => {
                let shows = identity::Shows {
                    from: request.from(),
                    asserted: request.headers.get(&Name::PAssertedIdentity).map(|text| text.into_owned()),
                    privacy: request.headers.get(&Name::Privacy).map(|text| text.into_owned()),
                };
                identity::caller_outside(&shows, &|text| self.read_number(Some(trunk), text))
            }
        };
        let shown = identity::shown_inside(&facts);
        // RFC 3428 §4: any type is carried; text that says nothing of itself is plain.
        let mut content: Extra = Vec::new();
        let passed = [
            ("Content-Type", Name::ContentType),
            ("Content-Encoding", Name::ContentEncoding),
            ("Content-Language", Name::ContentLanguage),
            ("Content-Disposition", Name::ContentDisposition),
        ];
        for (name, of) in passed {
            content.extend(request.headers.get(&of).map(|value| (name, value.into_owned())));
        }
        Some(Text {
            from: shown.from(&company.domain),
            asserted: (!shown.hidden && !shown.number.is_empty())
                .then(|| shown.name_addr(&company.domain).to_string()),
            body: Body { content_type: "text/plain", bytes: request.body.clone() },
            content,
        })
    }

    fn page_device(&mut self, now: Now, binding: &Binding, text: &Text) -> Option<TransactionId> {
        let record = &binding.record;
        let uri = Uri::parse(&record.contact).ok()?;
        let to = Uri::parse(&format!("sip:{}@{}", record.device, record.domain)).ok()?;
        let mut extra = text.content.clone();
        extra.extend(text.asserted.clone().map(|asserted| ("P-Asserted-Identity", asserted)));
        let ask = OutOfDialog {
            method: Method::Message,
            uri,
            hop: binding.hop,
            route: record.path.iter().filter_map(|path| NameAddr::parse(path).ok()).collect(),
            from: text.from.clone(),
            to: NameAddr::new(to),
            call_id: None,
            cseq: None,
            extra,
            body: Some(text.body.clone()),
            credentials: None,
            // RFC 3428 §5: no Contact, as no dialog is founded.
            contact_user: None,
        };
        Some(self.endpoint.request(now, ask))
    }

    /// Sends a text of our own to every device of a user; to how many. Nobody waits for the answers.
    pub(crate) fn page_user(&mut self, now: Now, to: &UserKey, text: &str) -> usize {
        let Some(company) = self.config.companies.get(&to.company) else { return 0 };
        let Ok(from) = Uri::parse(&format!("sip:{}", company.domain)) else { return 0 };
        let text = Text {
            from: NameAddr { display: Some(self.config.server.name.to_string()), ..NameAddr::new(from) },
            asserted: None,
            body: Body { content_type: "text/plain;charset=UTF-8", bytes: text.to_owned().into() },
            content: Vec::new(),
        };
        let bindings = self.devices_of(to).iter().flat_map(|aor| self.location.of(aor));
        let bindings: Vec<Binding> = bindings.take(RECEIVERS_MAX).cloned().collect();
        bindings.iter().filter_map(|binding| self.page_device(now, binding, &text)).count()
    }

    /// A receiver answered, or did not. Answers to other requests are passed over.
    pub(crate) fn message_response(&mut self, now: Now, receiver: TransactionId, status: u16) {
        let Some(transaction) = self.pager.receivers.remove(&receiver) else { return };
        let Some(of) = self.pager.pending.get_mut(&transaction) else { return };
        of.left.remove(&receiver);
        if !(200..300).contains(&status) && weight(status) > weight(of.best) {
            of.best = status;
        }
        let best = of.best;
        if (200..300).contains(&status) {
            self.answer_sender(now, transaction, 200);
        } else if of.left.is_empty() {
            self.answer_sender(now, transaction, told(best));
        }
    }

    /// Nobody has answered in time.
    pub(crate) fn message_timeout(&mut self, now: Now, transaction: TransactionId) {
        let best = self.pager.pending.get(&transaction).map(|of| of.best);
        if let Some(best) = best {
            self.answer_sender(now, transaction, told(best));
        }
    }

    fn answer_sender(&mut self, now: Now, transaction: TransactionId, status: u16) {
        self.timers.clear(&Timer::Message(transaction));
        if self.pager.pending.remove(&transaction).is_some() {
            self.endpoint.respond(now, transaction, status, Vec::new(), None);
        }
    }
}

/// Which of several refusals says most: the person's own, then what the sender can do something about (RFC 3261
/// §16.7 step 6), then the phone's.
fn weight(status: u16) -> u8 {
    match status {
        600..=699 => 5,
        413 | 415 | 488 => 4,
        403 | 405 | 406 | 480 | 486 => 3,
        400..=499 => 2,
        500..=599 => 1,
        _ => 0,
    }
}

/// What the sender learns. A receiver's wish for a password, a lost binding or silence means that nobody is there;
/// RFC 4320 §4.2: 408 is no answer to other requests than INVITE.
fn told(status: u16) -> u16 {
    match status {
        0 | 401 | 404 | 407 | 408 | 481 | 503 => 480,
        status => status,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a clock")]
mod tests {
    use super::*;

    #[test]
    fn a_sender_has_a_burst_and_then_a_rate() {
        let now = Now { mono: Instant::now(), utc: "2026-11-23T11:00:00Z".parse().unwrap() };
        let kari = || Sender::User(UserKey { company: "a".into(), user: "kari".into() });
        let ola = Sender::User(UserKey { company: "a".into(), user: "ola".into() });
        let mut pager = Pager::default();
        for _ in 0..USER_RATE.burst {
            assert_eq!(pager.spend(now, kari()), Ok(()));
        }
        assert_eq!(pager.spend(now, kari()), Err(1));
        assert_eq!(pager.spend(now, ola), Ok(()), "one sender's haste is not another's");
        assert_eq!(pager.spend(now.later(USER_RATE.every), kari()), Ok(()));
        assert_eq!(pager.spend(now.later(USER_RATE.every), kari()), Err(1));
        assert_eq!(pager.spend(now.later(Duration::from_secs(60)), kari()), Ok(()));
    }

    #[test]
    fn the_sender_is_told_what_says_most() {
        let best =
            |statuses: &[u16]| told(statuses.iter().copied().max_by_key(|one| weight(*one)).unwrap_or(0));
        let rows: [(&[u16], u16); 6] = [
            (&[], 480),
            (&[408], 480),
            (&[503, 408, 486], 486),
            (&[415, 603], 603),
            (&[404, 500], 480),
            (&[500], 500),
        ];
        for (statuses, expect) in rows {
            assert_eq!(best(statuses), expect, "{statuses:?}");
        }
    }
}
