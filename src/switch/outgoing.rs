//! One outgoing leg: the INVITE to a registered device or to a carrier, with our offer in it.

use crate::media::Codec;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::TrunkId;
use crate::model::id::UserKey;
use crate::model::number;
use crate::model::trunk::Trunk;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Uri;
use crate::sip::endpoint::Credentials;
use crate::sip::header::NameAddr;
use crate::sip::invite::Invite;
use crate::switch::Switch;
use crate::switch::dial::AttemptId;
use crate::switch::identity::Shown;
use crate::switch::leg::Leg;
use crate::switch::leg::LegState;
use crate::switch::location::Binding;
use crate::switch::negotiate;
use crate::time::Now;

/// A number outside, and who it sees.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    pub(crate) number: Number,
    pub(crate) shown: Shown,
    pub(crate) confirm: bool,
    pub(crate) user: Option<UserKey>,
}

impl Switch {
    /// Sends an INVITE to a registered device.
    #[expect(clippy::too_many_arguments, reason = "each says something else about one leg")]
    pub(crate) fn invite_device(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        user: &UserKey,
        binding: Binding,
        shown: Shown,
        alerting: Extra,
        confirm: bool,
    ) {
        let Ok(uri) = Uri::parse(&binding.record.contact) else { return };
        let Some(company) = self.config.companies.get(&user.company).cloned() else { return };
        let route = binding.record.path.iter().filter_map(|path| NameAddr::parse(path).ok()).collect();
        let mut extra = alerting;
        if !shown.hidden && !shown.number.is_empty() {
            extra.push(("P-Asserted-Identity", shown.name_addr(&company.domain).to_string()));
        }
        let to = format!("sip:{}@{}", binding.record.device, company.domain);
        let Ok(to) = Uri::parse(&to) else { return };
        let codecs = negotiate::codecs(&self.config.server.codecs);
        let invite = Invite {
            uri,
            hop: binding.hop,
            route,
            from: shown.from(&company.domain),
            to: NameAddr::new(to),
            contact_user: "sentral".into(),
            call_id: None,
            extra,
            body: None,
            credentials: None,
            max_forwards: self.calls.get(&call).map_or(69, |of| of.max_forwards),
        };
        let leg = Leg { attempt: Some(attempt), user: Some(user.clone()), confirm, ..self.outgoing(call) };
        self.send_invite(now, leg, invite, codecs);
    }

    /// Sends an INVITE to a carrier; `None` when it has no known address or no channel free.
    pub(crate) fn invite_trunk(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        id: &TrunkId,
        out: &Outbound,
    ) -> Option<LegId> {
        let trunk: Trunk = self.config.trunks.get(id)?.clone();
        let hop = *self.trunks.get(id)?.hops.first()?;
        let emergency = number::is_emergency(out.number.as_str());
        if !emergency && trunk.channels.is_some_and(|most| self.trunk_calls(id) >= most as usize) {
            return None;
        }
        let dialled = number::write(&out.number, trunk.numbers);
        let uri = Uri::parse(&format!("sip:{dialled}@{}", trunk.domain)).ok()?;
        let shown = out.shown.for_trunk(trunk.numbers);
        let mut extra: Extra = Vec::new();
        if !shown.number.is_empty() {
            extra.push(("P-Asserted-Identity", shown.name_addr(&trunk.domain).to_string()));
        }
        if shown.hidden && !emergency {
            extra.push(("Privacy", "id".into()));
        }
        if let Some(by) = &shown.diverted_by {
            // RFC 5806 §4: which number of ours sent the call on.
            extra.push(("Diversion", format!("<sip:{by}@{}>;reason=unconditional", trunk.domain)));
        }
        let credentials = match (&trunk.user, &trunk.password) {
            (Some(user), Some(secret)) => {
                Some(Credentials { user: user.to_string(), password: secret.0.to_string() })
            }
            _ => None,
        };
        let names = trunk.codecs.as_ref().unwrap_or(&self.config.server.codecs);
        let codecs = negotiate::codecs(names);
        let invite = Invite {
            uri: uri.clone(),
            hop,
            route: Vec::new(),
            from: shown.from(&trunk.domain),
            to: NameAddr::new(uri),
            contact_user: trunk.user.as_deref().unwrap_or("sentral").to_owned(),
            call_id: None,
            extra,
            body: None,
            credentials,
            max_forwards: self.calls.get(&call).map_or(69, |of| of.max_forwards),
        };
        let leg = Leg {
            attempt: Some(attempt),
            user: out.user.clone(),
            trunk: Some(id.clone()),
            confirm: out.confirm,
            ..self.outgoing(call)
        };
        self.send_invite(now, leg, invite, codecs)
    }

    /// A leg of a call to be sent out; its dialog is filled in when the INVITE is.
    fn outgoing(&self, call: CallId) -> Leg {
        Leg::new(call, DialogId(0), LegState::Calling)
    }

    /// Puts an offer into the INVITE and sends it: the codecs of the caller first, so that nothing need be converted.
    fn send_invite(
        &mut self,
        now: Now,
        leg: Leg,
        mut invite: Invite,
        mut codecs: Vec<Codec>,
    ) -> Option<LegId> {
        let call = leg.call;
        let attempt = leg.attempt?;
        if let Some(liked) = self.caller_codecs(call) {
            codecs.sort_by_key(|codec| liked.iter().position(|l| l == codec).unwrap_or(usize::MAX));
        }
        let id = self.next_leg();
        let address = invite.hop.local.ip();
        self.legs.insert(id, leg);
        if self.prepare_media(id, address, codecs).is_none() {
            self.legs.remove(&id);
            tracing::warn!(%call, "no RTP port is free: widen [media] ports");
            return None;
        }
        invite.body = self.make_offer(id);
        let dialog = self.endpoint.invite(now, invite);
        if let Some(of) = self.legs.get_mut(&id) {
            of.dialog = dialog;
        }
        self.by_dialog.insert(dialog, id);
        self.tell_leg(id);
        if let Some(of) = self.attempt(call, attempt) {
            of.legs.insert(id);
        }
        Some(id)
    }
}
