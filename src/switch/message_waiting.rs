//! Message-waiting lamps: SUBSCRIBE and NOTIFY of `message-summary` (RFC 3842 over RFC 6665).

use std::time::Duration;

use bytes::Bytes;

use crate::model::id::CompanyId;
use crate::model::id::MailboxKey;
use crate::model::id::UserId;
use crate::sip::Body;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Method;
use crate::sip::Request;
use crate::sip::TransactionId;
use crate::sip::message::Name;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::mailbox;
use crate::time::Now;

/// Granted when nothing is asked for, and at most (RFC 3842 §3.4 suggests hours to days).
const EXPIRES_S: u32 = 3600;

/// A phone that wants to know how many messages wait.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    company: CompanyId,
    user: UserId,
    /// Address of record, as the body names it.
    account: String,
    ends: std::time::Instant,
}

impl Switch {
    pub(crate) fn on_subscribe(
        &mut self,
        now: Now,
        transaction: TransactionId,
        dialog: Option<DialogId>,
        request: &Request,
        hop: Hop,
    ) {
        let event = request.headers.get(&Name::Event).unwrap_or_default().to_ascii_lowercase();
        if event.split(';').next().map(str::trim) != Some("message-summary") {
            let extra = vec![("Allow-Events", "message-summary".into())];
            self.endpoint.respond(now, transaction, 489, extra, None);
            return;
        }
        let aor = self.aor_of(request.from().map(|from| from.uri).as_ref());
        let owner = self.authenticate(now, request, hop, &aor).and_then(|(company, device)| {
            let of = self.config.companies.get(&company).and_then(|of| of.devices.get(&device));
            of.map(|device| (company, device.user.clone())).ok_or((403, Vec::new()))
        });
        let (company, user) = match owner {
            Ok(owner) => owner,
            Err((status, extra)) => {
                self.endpoint.respond(now, transaction, status, extra, None);
                return;
            }
        };
        let expires = request.expires().unwrap_or(EXPIRES_S).min(EXPIRES_S);
        let granted: Extra = vec![("Expires", expires.to_string())];
        let dialog = match dialog {
            Some(dialog) if self.subscriptions.contains_key(&dialog) => {
                self.endpoint.respond(now, transaction, 200, granted, None);
                dialog
            }
            Some(_) => {
                self.endpoint.respond(now, transaction, 481, Vec::new(), None);
                return;
            }
            None => match self.endpoint.subscribe_accept(now, transaction, granted) {
                Some(dialog) => dialog,
                None => return,
            },
        };
        let ends = now.mono + Duration::from_secs(u64::from(expires));
        let account = format!("sip:{}@{}", aor.device, aor.domain);
        self.subscriptions.insert(dialog, Subscription { company, user, account, ends });
        if expires == 0 {
            self.subscription_over(now, dialog);
        } else {
            self.timers.set(Timer::Subscription(dialog), ends);
            self.notify(now, dialog, true);
        }
    }

    /// A subscription has run out, or was ended: the last NOTIFY says so (RFC 6665 §4.2.2).
    pub(crate) fn subscription_over(&mut self, now: Now, dialog: DialogId) {
        self.notify(now, dialog, false);
        self.drop_subscription(dialog);
    }

    fn drop_subscription(&mut self, dialog: DialogId) {
        self.timers.clear(&Timer::Subscription(dialog));
        if self.subscriptions.remove(&dialog).is_some() {
            self.endpoint.forget(dialog);
        }
    }

    /// RFC 6665 §4.2.2: a failed NOTIFY ends the subscription.
    pub(crate) fn notify_response(&mut self, _now: Now, dialog: DialogId, status: u16) {
        if status >= 300 {
            self.drop_subscription(dialog);
        }
    }

    /// A mailbox has changed: the lamps of all who may listen learn it.
    pub(crate) fn notify_mailbox(&mut self, now: Now, mailbox: &MailboxKey) {
        let Some(company) = self.config.companies.get(&mailbox.company).cloned() else { return };
        let mut concerned: Vec<DialogId> = self
            .subscriptions
            .iter()
            .filter(|(_, of)| {
                of.company == mailbox.company
                    && mailbox::boxes_of(&company, &of.user).contains(&mailbox.mailbox)
            })
            .map(|(dialog, _)| *dialog)
            .collect();
        concerned.sort();
        for dialog in concerned {
            self.notify(now, dialog, true);
        }
    }

    fn notify(&mut self, now: Now, dialog: DialogId, active: bool) {
        let Some(of) = self.subscriptions.get(&dialog) else { return };
        let Some(company) = self.config.companies.get(&of.company) else { return };
        let (mut new, mut old) = (0, 0);
        for mailbox in mailbox::boxes_of(company, &of.user) {
            let key = MailboxKey { company: of.company.clone(), mailbox };
            let counts = self.mailboxes.counts(&key);
            new += counts.new;
            old += counts.saved;
        }
        let waiting = if new > 0 { "yes" } else { "no" };
        let account = &of.account;
        let body = format!(
            "Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {new}/{old} (0/0)\r\n"
        );
        let left = of.ends.saturating_duration_since(now.mono).as_secs();
        let state =
            if active { format!("active;expires={left}") } else { "terminated;reason=timeout".to_owned() };
        let extra = vec![("Event", "message-summary".into()), ("Subscription-State", state)];
        let body = Body { content_type: "application/simple-message-summary", bytes: Bytes::from(body) };
        self.endpoint.request_in(now, dialog, Method::Notify, extra, Some(body));
    }
}
