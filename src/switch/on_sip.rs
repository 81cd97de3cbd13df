//! What happens when SIP says something.

use bytes::Bytes;

use crate::model::cdr::CallResult;
use crate::model::cdr::Direction;
use crate::model::cdr::EndedBy;
use crate::model::dtmf::KeysBy;
use crate::model::flow::Destination;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::LegId;
use crate::model::id::Number;
use crate::model::id::TrunkId;
use crate::model::id::UserId;
use crate::model::id::UserKey;
use crate::model::number;
use crate::model::srtp::SrtpPolicy;
use crate::model::user::Device;
use crate::sdp;
use crate::sdp::SessionDescription;
use crate::sip;
use crate::sip::DialogId;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Method;
use crate::sip::Request;
use crate::sip::TransactionId;
use crate::sip::header::Credentials;
use crate::sip::message::Name;
use crate::switch::ALLOW;
use crate::switch::Switch;
use crate::switch::admission::Admitted;
use crate::switch::bridge;
use crate::switch::bridge::Ending;
use crate::switch::call::Begin;
use crate::switch::call::Call;
use crate::switch::charges;
use crate::switch::flow::Program;
use crate::switch::flow::action::CallerFacts;
use crate::switch::flow::action::Event;
use crate::switch::header_rules;
use crate::switch::identity;
use crate::switch::ledger::started;
use crate::switch::leg::Leg;
use crate::switch::leg::LegState;
use crate::switch::negotiate;
use crate::switch::negotiate::Refusal;
use crate::switch::outgoing::is_private;
use crate::switch::outgoing::is_web;
use crate::switch::route;
use crate::switch::route::NoRoute;
use crate::switch::route::Origin;
use crate::switch::route::Target;
use crate::switch::secrecy::Secrecy;
use crate::switch::service::Service;
use crate::time::Now;

impl Switch {
    pub(crate) fn on_sip(&mut self, now: Now, event: sip::Event) {
        match event {
            sip::Event::Invite { dialog, request, hop } => self.on_invite(now, dialog, &request, hop),
            sip::Event::Cancelled { dialog, .. } => self.caller_gone(now, dialog),
            sip::Event::Acked { dialog, body } => self.on_ack(now, dialog, body),
            sip::Event::NotAcked { dialog } | sip::Event::Gone { dialog } => self.dialog_lost(now, dialog),
            sip::Event::Progress { dialog, response } => {
                if let Some(leg) = self.by_dialog.get(&dialog).copied() {
                    self.leg_progress(now, leg, &response);
                }
            }
            sip::Event::Answered { dialog, response } => match self.by_dialog.get(&dialog).copied() {
                Some(leg) => self.leg_answered(now, leg, &response),
                None => {
                    self.endpoint.ack(now, dialog, None);
                    self.endpoint.bye(now, dialog, Vec::new());
                }
            },
            sip::Event::Failed { dialog, status, response } => {
                if let Some(leg) = self.by_dialog.get(&dialog).copied()
                    && !self.redirected(now, leg, status, response.as_ref())
                    && !self.next_flow(now, leg, status, response.is_some())
                {
                    self.gateway_refused(now, leg, status, response.as_ref());
                    self.leg_failed(now, leg, status);
                }
            }
            sip::Event::Reoffer { dialog, request } => self.on_reoffer(now, dialog, &request),
            sip::Event::Reanswered { dialog, response } => self.on_reanswered(now, dialog, &response),
            sip::Event::ReofferFailed { .. } => {}
            sip::Event::Refresh { dialog } => self.refresh_session(now, dialog),
            sip::Event::Bye { dialog, .. } => self.on_bye(now, dialog),
            sip::Event::Request { transaction, dialog, request, hop } => {
                self.on_request(now, transaction, dialog, &request, hop);
            }
            sip::Event::Response { transaction, dialog, status, response } => {
                if let Some(trunk) = self.trunk_transactions.remove(&transaction) {
                    self.trunk_response(now, &trunk, status, response.as_ref());
                } else if let Some((trunk, address)) = self.health_checks.remove(&transaction) {
                    self.health_answer(now, &trunk, address, status);
                } else if self.answer_told(now, transaction, status) {
                    // A phone that was told to answer a call.
                } else if let Some(dialog) = dialog {
                    self.notify_response(now, transaction, dialog, status, response.as_ref());
                } else {
                    self.message_response(now, transaction, status);
                }
            }
            sip::Event::Closed { connection } => {
                self.peers.closed(connection);
                for (aor, contact) in self.location.closed(connection) {
                    self.unbound(now, &aor, &contact, "connection closed");
                }
            }
            sip::Event::Refused { why } => tracing::debug!(why, "SIP message refused"),
        }
    }

    fn on_invite(&mut self, now: Now, dialog: DialogId, request: &Request, hop: Hop) {
        if let Err((status, extra)) = self.invited(now, dialog, request, hop) {
            self.endpoint.reject(now, dialog, status, extra);
        }
    }

    /// Begins the call that an INVITE asks for, or says how it is refused.
    fn invited(
        &mut self,
        now: Now,
        dialog: DialogId,
        request: &Request,
        hop: Hop,
    ) -> Result<(), (u16, Extra)> {
        let full = self.draining || self.calls.len() >= self.config.server.limits.calls;
        // An emergency call is the last to find no room.
        if full && !number::is_emergency(&identity::dialled(&request.uri)) {
            return Err((503, bridge::retry_after()));
        }
        let admitted = self.admit(now, request, hop)?;
        if request.headers.contains(&Name::Replaces) {
            return self.on_replaces(now, dialog, request, &admitted);
        }
        let offer = offer_of(request)?;
        let dialled = self.dialled(&admitted, request);
        let srtp = self.srtp_of(&admitted, request, &dialled);
        if let Some(offer) = &offer {
            let secrecy = Secrecy::new(srtp.unwrap_or_default(), false, [0; 32]);
            let trunk = if let Admitted::Trunk(trunk) = &admitted { Some(trunk) } else { None };
            let address = self.config.server.external.unwrap_or(hop.local.ip());
            let secrecy = secrecy.with_dtls(self.fingerprint, false);
            negotiate::fits(offer, &self.codecs_for(trunk), address, &secrecy)
                .map_err(|refusal| (488, vec![("Warning", refusal.header())]))?;
        }
        match self.allowed_target(now, request, &admitted, &dialled) {
            Ok(target) => {
                self.begin(now, dialog, request, &admitted, &dialled, offer, target);
                Ok(())
            }
            Err((status, extra)) => {
                self.refused(now, &admitted, request, &dialled, status);
                Err((status, extra))
            }
        }
    }

    /// Where a caller may go: by number or GRUU, past the carrier's limits and the caller's own.
    fn allowed_target(
        &mut self,
        now: Now,
        request: &Request,
        admitted: &Admitted,
        dialled: &str,
    ) -> Result<Target, (u16, Extra)> {
        let by_gruu = self.gruu_target(admitted, &request.uri);
        let target = by_gruu.unwrap_or_else(|| self.target(admitted, dialled));
        let target = match (target, admitted) {
            // A person who dials a code hears what is wrong with it.
            (Err(404), Admitted::Device { company, .. }) if dialled.starts_with(['*', '#']) => {
                Target::Service { company: company.clone(), service: Service::Wrong }
            }
            (target, _) => target.map_err(|status| (status, Vec::new()))?,
        };
        self.screen_call(now, admitted, request, &target)?;
        match self.within_limits(now, admitted, target) {
            Target::Barred { status, why, .. } if !self.may_announce() => Err((status, charges::reason(why))),
            target => Ok(target),
        }
    }

    /// Whether the audio of a caller is to be encrypted, if it is said. An emergency call is not refused for want of it.
    fn srtp_of(&self, admitted: &Admitted, request: &Request, dialled: &str) -> Option<SrtpPolicy> {
        let policy = match admitted {
            Admitted::Trunk(trunk) => self.config.trunks.get(trunk).map(|of| of.srtp),
            Admitted::Device { company, .. } => self.calling_device(company, request).and_then(|of| of.srtp),
        };
        match policy {
            Some(SrtpPolicy::Required | SrtpPolicy::Dtls) if number::is_emergency(dialled) => {
                Some(SrtpPolicy::Optional)
            }
            policy => policy,
        }
    }

    /// How keys of a caller travel.
    pub(crate) fn keys_by(&self, admitted: &Admitted, request: &Request) -> KeysBy {
        let keys = match admitted {
            Admitted::Trunk(trunk) => self.config.trunks.get(trunk).map(|of| of.dtmf),
            Admitted::Device { company, .. } => self.calling_device(company, request).map(|of| of.dtmf),
        };
        keys.unwrap_or_default()
    }

    /// The device whose credentials a request bears.
    fn calling_device(&self, company: &CompanyId, request: &Request) -> Option<&Device> {
        let names = request.headers.all(&Name::Authorization);
        let mut names = names.filter_map(|text| Credentials::parse(&text).ok()).map(|c| c.username);
        let of = self.config.companies.get(company)?;
        names.find_map(|name| of.devices.get(&DeviceId::from(&*name)))
    }

    /// Where a dialled number leads.
    pub(crate) fn target(&self, admitted: &Admitted, dialled: &str) -> Result<Target, u16> {
        let origin = match admitted {
            Admitted::Trunk(trunk) => Origin::Trunk(trunk),
            Admitted::Device { company, user } => Origin::User { company, user },
        };
        match route::route(&self.config, &origin, dialled) {
            Ok(target) => Ok(target),
            Err(NoRoute::NotAllowed { class }) => match admitted {
                Admitted::Device { company, .. } => {
                    Ok(Target::Barred { company: company.clone(), status: 403, why: class.as_str() })
                }
                Admitted::Trunk(_) => Err(403),
            },
            // A phone may also call a colleague by the name of the user.
            Err(no) => match admitted {
                Admitted::Device { company, .. } => {
                    let of = self.config.companies.get(company);
                    let user = of.and_then(|of| of.users.get_key_value(dialled)).map(|(id, _)| id.clone());
                    user.map(|id| Target::Inside {
                        company: company.clone(),
                        destination: Destination::User(id),
                    })
                    .ok_or(no.status())
                }
                Admitted::Trunk(_) => Err(no.status()),
            },
        }
    }

    /// A new call begins to run what its number leads to.
    fn begin(
        &mut self,
        now: Now,
        dialog: DialogId,
        request: &Request,
        admitted: &Admitted,
        dialled: &str,
        offer: Option<SessionDescription>,
        target: Target,
    ) {
        let inside = match admitted {
            Admitted::Trunk(_) => Direction::In,
            Admitted::Device { .. } => Direction::Internal,
        };
        let (company, direction) = match &target {
            Target::Inside { company, .. }
            | Target::Phone { company, .. }
            | Target::Toggle { company, .. }
            | Target::Service { company, .. } => (company.clone(), inside),
            Target::Barred { company, .. } => (company.clone(), Direction::Out),
            Target::Outside { .. } => match admitted {
                Admitted::Device { company, .. } => (company.clone(), Direction::Out),
                // A trunk's call never leads to a trunk.
                Admitted::Trunk(_) => {
                    self.endpoint.reject(now, dialog, 404, Vec::new());
                    return;
                }
            },
        };
        let (trunk, user) = match admitted {
            Admitted::Trunk(trunk) => (Some(trunk.clone()), None),
            Admitted::Device { user, .. } => (None, Some(user.clone())),
        };
        let home = if let Admitted::Device { company, .. } = admitted { Some(company) } else { None };
        let visitor = home.filter(|home| **home != company).zip(user.as_ref());
        let visitor = visitor.map(|(home, user)| UserKey { company: home.clone(), user: user.clone() });
        let mut facts = match &visitor {
            Some(visitor) => self.facts_of_visitor(visitor, &company, dialled),
            None => self.facts(request, &company, user, dialled, trunk.as_ref()),
        };
        let program = match (&target, &trunk) {
            (Target::Service { service, .. }, Some(trunk)) => {
                self.service_number(now, service.clone(), trunk, request, (&company, &mut facts))
            }
            _ => Program::to(target.clone()),
        };
        let phone = home.and_then(|home| self.device_of(home, request));
        let (call, caller) = (self.next_call(), self.next_leg());
        let mut leg = Leg::new(call, dialog, LegState::Incoming);
        leg.offer = offer;
        leg.trunk = trunk.clone();
        let srtp = self.srtp_of(admitted, request, dialled);
        leg.srtp = srtp.unwrap_or_default();
        leg.dtmf = self.keys_by(admitted, request);
        leg.private = self.endpoint.hop(dialog).is_some_and(|hop| is_private(hop.transport));
        leg.browser = srtp.is_none() && self.endpoint.hop(dialog).is_some_and(|hop| is_web(hop.transport));
        leg.channel = trunk.as_ref().map(|trunk| self.take_channel(trunk, &company));
        let rules = trunk.as_ref().and_then(|trunk| self.config.trunks.get(trunk));
        let copies = rules.map(|trunk| header_rules::copied(&trunk.headers, &request.headers));
        self.legs.insert(caller, leg);
        self.by_dialog.insert(dialog, caller);
        let sip_call_id = self.endpoint.call_id(dialog).unwrap_or_default().into();
        tracing::info!(%call, %company, ?direction, "call begins");
        self.tell(crate::model::change::Change::CallStarted {
            call,
            company: Some(company.clone()),
            direction,
        });
        let mut of =
            Call::new(Begin { id: call, company, direction, caller, facts, trunk, sip_call_id, at: now.utc });
        of.max_forwards = forwards_left(request);
        of.visitor = visitor;
        of.phone = phone;
        if let Target::Phone { only, .. } = &target {
            of.only = Some(only.clone());
        }
        if let Target::Barred { why, .. } = &target {
            of.refusal = charges::reason(why);
        }
        of.copies = copies.unwrap_or_default();
        of.program = Some(program);
        let (company, fields) = (of.company.clone(), started(&of));
        self.calls.insert(call, of);
        self.decide_with(now, &company, Some(call), "call.started", "started", fields);
        self.tell_leg(caller);
        self.update_busy(now, call);
        self.run_program(now, call, Event::Start);
    }

    /// What is known of a caller.
    fn facts(
        &self,
        request: &Request,
        company: &CompanyId,
        user: Option<UserId>,
        dialled: &str,
        trunk: Option<&TrunkId>,
    ) -> CallerFacts {
        let of = self.config.companies.get(company);
        let hidden = of.is_some_and(|of| route::hides_number(of, dialled));
        let dialled = self.read_number(trunk, dialled).unwrap_or_else(|| Number::new(dialled));
        if let (Some(user), Some(of)) = (&user, of) {
            return CallerFacts { dialled, hidden, ..identity::caller_user(of, user) };
        }
        let language = of.map_or(self.config.server.language, |of| of.language);
        let shows = identity::Shows {
            from: request.from(),
            asserted: trunk
                .and_then(|_| request.headers.get(&Name::PAssertedIdentity))
                .map(|t| t.into_owned()),
            privacy: request.headers.get(&Name::Privacy).map(|text| text.into_owned()),
        };
        let mut facts = identity::caller_outside(&shows, &|text| self.read_number(trunk, text));
        facts.diversions = self.diversions_of(trunk, request);
        facts.dialled = dialled;
        facts.language = language;
        facts
    }

    /// What a company knows of a user of another one: what they show to the outside, and no name of its own.
    fn facts_of_visitor(&self, visitor: &UserKey, to: &CompanyId, dialled: &str) -> CallerFacts {
        let home = self.config.companies.get(&visitor.company);
        let hidden = home.is_some_and(|home| route::hides_number(home, dialled));
        let shown = home.map(|home| identity::shown_outside(home, Some(&visitor.user), hidden));
        let number = shown.as_ref().map(|shown| shown.number.clone()).filter(|number| !number.is_empty());
        let language = self.config.companies.get(to).map(|to| to.language);
        CallerFacts {
            hidden: hidden || number.is_none(),
            number,
            name: shown.and_then(|shown| shown.name).filter(|_| !hidden),
            dialled: self.read_number(None, dialled).unwrap_or_else(|| Number::new(dialled)),
            language: language.unwrap_or(self.config.server.language),
            ..identity::nobody()
        }
    }

    /// Keeps a record of a call that was refused before it began.
    fn refused(&mut self, now: Now, admitted: &Admitted, request: &Request, dialled: &str, status: u16) {
        let (company, user, trunk) = match admitted {
            Admitted::Trunk(trunk) => (None, None, Some(trunk.clone())),
            Admitted::Device { company, user } => (Some(company.clone()), Some(user.clone()), None),
        };
        let known = company.clone().unwrap_or_else(|| CompanyId::from(""));
        let facts = self.facts(request, &known, user, dialled, trunk.as_ref());
        let id = self.next_call();
        let direction = if trunk.is_some() { Direction::In } else { Direction::Out };
        let sip_call_id = request.call_id().unwrap_or_default().as_ref().into();
        let caller = LegId(0);
        let begin = Begin { id, company: known, direction, caller, facts, trunk, sip_call_id, at: now.utc };
        let mut cdr = Call::new(begin).cdr;
        cdr.company = company;
        cdr.result = CallResult::Rejected;
        cdr.status = status;
        tracing::info!(call = %id, status, "call refused");
        self.tell(crate::model::change::Change::CallEnded { cdr: Box::new(cdr) });
    }

    /// The caller gave up before an answer.
    fn caller_gone(&mut self, now: Now, dialog: DialogId) {
        let Some(call) = self.call_of(dialog) else { return };
        self.end_call(now, call, Ending::hung_up(EndedBy::Caller));
    }

    fn on_ack(&mut self, now: Now, dialog: DialogId, body: Option<Bytes>) {
        let Some(leg) = self.by_dialog.get(&dialog).copied() else { return };
        let Some(of) = self.legs.get_mut(&leg) else { return };
        let call = of.call;
        let late = std::mem::take(&mut of.awaiting_answer);
        if self.calls.get(&call).is_some_and(|of| of.caller == leg) {
            self.run_program(now, call, Event::Acked);
        }
        if !late {
            return;
        }
        // RFC 3261 §13.2.2.4: a 2xx with our offer is answered in the ACK; without an answer there is no session.
        let answered = body.is_some_and(|body| self.take_answer(leg, &body).is_ok());
        if answered {
            self.refresh_bridge(call);
        } else {
            self.end_call(now, call, Ending::refused(488, CallResult::Failed));
        }
    }

    /// A dialog ended by itself: no ACK came, or the other side does not know it any longer.
    fn dialog_lost(&mut self, now: Now, dialog: DialogId) {
        let Some(leg) = self.by_dialog.get(&dialog).copied() else { return };
        self.party_gone(now, leg, EndedBy::System);
    }

    fn on_bye(&mut self, now: Now, dialog: DialogId) {
        let Some(leg) = self.by_dialog.get(&dialog).copied() else { return };
        let is_caller =
            self.legs.get(&leg).and_then(|of| self.calls.get(&of.call)).map(|call| call.caller == leg);
        let by = if is_caller == Some(true) { EndedBy::Caller } else { EndedBy::Callee };
        self.party_gone(now, leg, by);
    }

    /// A party's dialog is over: the call ends, unless it was one of several that ring.
    fn party_gone(&mut self, now: Now, leg: LegId, by: EndedBy) {
        let Some(of) = self.legs.get(&leg) else { return };
        let call = of.call;
        let Some(in_call) = self.calls.get(&call) else {
            self.forget_leg(now, leg);
            return;
        };
        if in_call.caller == leg {
            // Its dialog is gone: nothing may be sent in it, whoever is said to have ended the call.
            self.dialog_over(leg);
            self.end_call(now, call, Ending::hung_up(by));
        } else if in_call.callee == Some(leg) {
            if let Some(in_call) = self.calls.get_mut(&call) {
                in_call.callee = None;
            }
            self.forget_leg(now, leg);
            self.end_call(now, call, Ending::hung_up(by));
        } else if in_call.referral.as_ref().is_some_and(|referral| referral.leg == leg) {
            if let Some(in_call) = self.calls.get_mut(&call) {
                in_call.referral = None;
            }
            self.forget_leg(now, leg);
            self.update_busy(now, call);
        } else {
            // Answered, but hung up before pressing 1.
            self.leg_failed(now, leg, 480);
        }
    }

    /// Marks a leg whose dialog is over.
    fn dialog_over(&mut self, leg: LegId) {
        if let Some(of) = self.legs.get_mut(&leg) {
            of.state = LegState::Cancelled;
        }
    }

    fn on_request(
        &mut self,
        now: Now,
        transaction: TransactionId,
        dialog: Option<DialogId>,
        request: &Request,
        hop: Hop,
    ) {
        let (status, extra): (u16, Extra) = match (&request.method, dialog) {
            (Method::Register, None) => {
                self.on_register(now, transaction, request, hop);
                return;
            }
            (Method::Subscribe, _) => {
                self.on_subscribe(now, transaction, dialog, request, hop);
                return;
            }
            (Method::Publish, None) => {
                self.on_publish(now, transaction, request, hop);
                return;
            }
            (Method::Message, None) => {
                self.on_message(now, transaction, request, hop);
                return;
            }
            (Method::Options, _) => {
                (200, vec![("Accept", "application/sdp".into()), ("Allow-Events", self.packages())])
            }
            (Method::Refer, _) => {
                self.on_refer(now, transaction, dialog, request, hop);
                return;
            }
            (Method::Update, Some(dialog)) => {
                self.on_update(now, transaction, dialog, request);
                return;
            }
            (Method::Prack, Some(dialog)) => {
                self.on_prack(now, transaction, dialog, request);
                return;
            }
            (Method::Info, Some(dialog)) => self.on_info(now, dialog, request),
            (Method::Info | Method::Notify | Method::Update | Method::Prack, None) => (481, Vec::new()),
            (Method::Notify, Some(_)) => (489, Vec::new()),
            (Method::Other(_), _) => (501, vec![("Allow", ALLOW.into())]),
            // The endpoint says what is allowed.
            _ => (405, Vec::new()),
        };
        self.endpoint.respond(now, transaction, status, extra, None);
    }

    fn call_of(&self, dialog: DialogId) -> Option<CallId> {
        let leg = self.by_dialog.get(&dialog)?;
        self.legs.get(leg).map(|of| of.call)
    }
}

/// The offer in a request, if it has one; else the answer that it deserves.
pub(crate) fn offer_of(request: &Request) -> Result<Option<SessionDescription>, (u16, Extra)> {
    if request.body.is_empty() {
        return Ok(None);
    }
    let content = request.headers.get(&Name::ContentType).unwrap_or_default().to_ascii_lowercase();
    if !content.trim_start().starts_with("application/sdp") {
        return Err((415, vec![("Accept", "application/sdp".into())]));
    }
    let offer = sdp::parse(&request.body)
        .map_err(|error| (400, vec![("Warning", format!("399 sentral \"{error}\""))]))?;
    negotiate::known(&offer).map_err(|refusal: Refusal| (488, vec![("Warning", refusal.header())]))?;
    Ok(Some(offer))
}

/// How many hops a call may still travel: ours counts (RFC 3261 §16.6, applied by a back-to-back user agent).
fn forwards_left(request: &Request) -> u8 {
    match request.max_forwards() {
        Some(Ok(hops)) => hops.clamp(1, 70) - 1,
        Some(Err(_)) | None => 69,
    }
}
