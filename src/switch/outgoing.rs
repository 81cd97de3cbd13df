//! One outgoing leg: the INVITE to a registered device or to a carrier, with our offer in it.

use std::time::Duration;

use crate::media::Codec;
use crate::model::id::CallId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::UserKey;
use crate::model::trunk::DiversionForm;
use crate::model::trunk::Trunk;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Transport;
use crate::sip::Uri;
use crate::sip::endpoint::Credentials;
use crate::sip::header::NameAddr;
use crate::sip::invite::HeaderEdit;
use crate::sip::invite::Invite;
use crate::switch::Switch;
use crate::switch::dial::AttemptId;
use crate::switch::diversion;
use crate::switch::diversion::Diversion;
use crate::switch::header_rules;
use crate::switch::hunt::Gateway;
use crate::switch::hunt::HuntId;
use crate::switch::hunt::Way;
use crate::switch::identity;
use crate::switch::identity::Shown;
use crate::switch::leg::Leg;
use crate::switch::leg::LegState;
use crate::switch::location::Binding;
use crate::switch::negotiate;
use crate::switch::outbound::Flows;
use crate::time::Now;

/// A number outside, and who it sees.
#[derive(Clone, Debug)]
pub(crate) struct Outbound {
    pub(crate) number: Number,
    pub(crate) shown: Shown,
    pub(crate) confirm: bool,
    pub(crate) user: Option<UserKey>,
    /// Who has sent the call on, we ourselves before all others; empty when nobody has.
    pub(crate) diversions: Vec<Diversion>,
    /// Ignores limits and is never hidden.
    pub(crate) emergency: bool,
    /// It rings for so long at most.
    pub(crate) ring: Option<Duration>,
}

/// The headers that tell a carrier who sent the call on.
fn sent_on(trunk: &Trunk, out: &Outbound, target: &Uri, uri: &dyn Fn(&Number) -> Option<Uri>) -> Extra {
    let list = &out.diversions;
    if list.is_empty() {
        return Extra::new();
    }
    let history = || diversion::history_headers(list, target.clone(), uri);
    match trunk.diversion {
        DiversionForm::Diversion => diversion::diversion_headers(list, uri),
        DiversionForm::HistoryInfo => history(),
        DiversionForm::Both => {
            let mut both = diversion::diversion_headers(list, uri);
            both.extend(history());
            both
        }
        DiversionForm::None => Extra::new(),
    }
}

/// Whether nobody on the way can read what a transport carries: keys for the audio are of worth there.
pub(crate) fn is_private(transport: Transport) -> bool {
    matches!(transport, Transport::Tls | Transport::Wss)
}

/// Whether a transport is spoken by browsers, whose audio is DTLS-SRTP found by ICE.
pub(crate) fn is_web(transport: Transport) -> bool {
    matches!(transport, Transport::Ws | Transport::Wss)
}

/// Whether a contact is a browser's, be it behind a proxy that speaks WebSocket for us (RFC 7118 §5.2).
fn is_web_contact(contact: &Uri) -> bool {
    contact
        .transport()
        .is_some_and(|transport| ["ws", "wss"].iter().any(|web| transport.eq_ignore_ascii_case(web)))
}

impl Switch {
    /// Sends an INVITE to a registered phone along the first of its flows; the leg keeps the others.
    #[expect(clippy::too_many_arguments, reason = "each says something else about one leg")]
    pub(crate) fn invite_device(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        user: &UserKey,
        mut flows: Vec<Binding>,
        shown: Shown,
        alerting: Extra,
        confirm: bool,
    ) -> Option<LegId> {
        if flows.is_empty() {
            return None;
        }
        let binding = flows.remove(0);
        let uri = Uri::parse(&binding.record.contact).ok()?;
        let company = self.config.companies.get(&user.company).cloned()?;
        let route = binding.record.path.iter().filter_map(|path| NameAddr::parse(path).ok()).collect();
        let mut extra = alerting.clone();
        if !shown.hidden && !shown.number.is_empty() {
            extra.push(("P-Asserted-Identity", shown.name_addr(&company.domain).to_string()));
        }
        let to = format!("sip:{}@{}", binding.record.device, company.domain);
        let to = Uri::parse(&to).ok()?;
        let codecs = negotiate::codecs(&self.config.server.codecs);
        let device = company.devices.get(&binding.record.device);
        let (srtp, dtmf) = device.map_or_else(Default::default, |of| (of.srtp, of.dtmf));
        let private = is_private(binding.hop.transport);
        let browser = srtp.is_none() && (is_web(binding.hop.transport) || is_web_contact(&uri));
        let of = self.calls.get(&call)?;
        let mut edits = of.copies.clone();
        edits.extend(of.attempts.get(&attempt).map(|of| of.headers.clone()).unwrap_or_default());
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
            max_forwards: of.max_forwards,
            edits,
        };
        let flows = Some(Box::new(Flows { tried: binding, left: flows, shown, alerting }));
        let leg = Leg {
            attempt: Some(attempt),
            user: Some(user.clone()),
            srtp: srtp.unwrap_or_default(),
            dtmf,
            private,
            browser,
            confirm,
            flows,
            ..self.outgoing(call)
        };
        self.send_invite(now, leg, invite, codecs)
    }

    /// Sends an INVITE to a gateway; `None` when its trunk takes no more calls now, or no port is free.
    pub(crate) fn invite_gateway(
        &mut self,
        now: Now,
        call: CallId,
        attempt: AttemptId,
        hunt: HuntId,
        gateway: &Gateway,
        out: &Outbound,
    ) -> Option<LegId> {
        let id = &gateway.trunk;
        let trunk: Trunk = self.config.trunks.get(id)?.clone();
        let company = self.calls.get(&call)?.company.clone();
        let domain = &trunk.domain;
        let address = |number: &Number| {
            let uri = Uri::parse(&format!("sip:{}@{domain}", trunk.write(number))).ok()?;
            Some(identity::with_user_phone(NameAddr::new(uri), trunk.user_phone))
        };
        let to = address(&out.number)?;
        if !self.make_room(now, call, id, &company, out.emergency) {
            return None;
        }
        let told = out.shown.told(&trunk);
        let mut extra: Extra = Vec::new();
        extra.extend(told.asserted.map(|asserted| ("P-Asserted-Identity", asserted.to_string())));
        if told.private {
            extra.push(("Privacy", "id".into()));
        }
        extra.extend(sent_on(&trunk, out, &to.uri, &|number| Some(address(number)?.uri)));
        let credentials = match (&trunk.user, &trunk.password) {
            (Some(user), Some(secret)) => {
                Some(Credentials { user: user.to_string(), password: secret.0.to_string() })
            }
            _ => None,
        };
        let names = trunk.codecs.as_ref().unwrap_or(&self.config.server.codecs);
        let codecs = negotiate::codecs(names);
        let invite = Invite {
            uri: to.uri.clone(),
            hop: gateway.hop,
            route: Vec::new(),
            from: told.from,
            to,
            contact_user: trunk.user.as_deref().unwrap_or("sentral").to_owned(),
            call_id: None,
            extra,
            body: None,
            credentials,
            max_forwards: self.calls.get(&call).map_or(69, |of| of.max_forwards),
            edits: self.edits(call, &trunk, out),
        };
        let channel = self.take_channel(id, &company);
        let leg = Leg {
            attempt: Some(attempt),
            user: out.user.clone(),
            number: Some(out.number.clone()),
            srtp: trunk.srtp,
            dtmf: trunk.dtmf,
            private: is_private(gateway.hop.transport),
            trunk: Some(id.clone()),
            confirm: out.confirm,
            ring_max: out.ring,
            channel: Some(channel.clone()),
            way: Some(Way { hop: gateway.hop, hunt, emergency: out.emergency }),
            ..self.outgoing(call)
        };
        let sent = self.send_invite(now, leg, invite, codecs);
        match sent {
            Some(leg) => {
                self.rings_out(leg, out);
                self.limit_ring(now, leg);
            }
            None => self.channels.give_back(&channel),
        }
        sent
    }

    /// The changes that header rules make to an INVITE: what the call's own carrier wanted handed on, then the rules
    /// of the carrier that it goes to.
    fn edits(&self, call: CallId, trunk: &Trunk, out: &Outbound) -> Vec<HeaderEdit> {
        let Some(of) = self.calls.get(&call) else { return Vec::new() };
        let company = self.config.companies.get(&of.company);
        let user = of.facts.user.as_ref();
        let site = self.site_of(call);
        let site = site.as_ref();
        let place = |word: &str| match word {
            "company" => Some(of.company.to_string()),
            "user" => user.map(ToString::to_string),
            "call" => Some(call.to_string()),
            "site" => site.map(ToString::to_string),
            "address" => Some(company?.sites.get(site?)?.address.as_ref()?.to_string()),
            _ => None,
        };
        let mut edits = of.copies.clone();
        edits.extend(header_rules::outgoing(&trunk.headers, out.emergency, &place));
        edits
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
            of.heard.invited = Some(now.mono);
        }
        self.by_dialog.insert(dialog, id);
        self.tell_leg(id);
        if let Some(of) = self.attempt(call, attempt) {
            of.legs.insert(id);
        }
        self.watch_leg(id);
        Some(id)
    }
}
