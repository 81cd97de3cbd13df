//! What is looked at before a carrier's call begins: which of several accounts it is for, whether the trunk takes
//! one more, and whether the call goes round in circles.

use std::sync::Arc;

use crate::model::id::Number;
use crate::model::id::TrunkId;
use crate::model::trunk::Trunk;
use crate::sip::Extra;
use crate::sip::Hop;
use crate::sip::Request;
use crate::switch::Switch;
use crate::switch::admission::Admitted;
use crate::switch::bridge;
use crate::switch::diversion;
use crate::switch::diversion::Diversion;
use crate::switch::identity;
use crate::switch::route::Target;
use crate::time::Now;

impl Switch {
    /// Of several trunks at one address, the one that a request is for: the account that it names, else one that
    /// serves the company whose number is called, else the one found first.
    pub(crate) fn nearest_trunk(&self, found: TrunkId, request: &Request, hop: Hop) -> TrunkId {
        let here = |id: &TrunkId, trunk: &Trunk| match trunk.trusted.is_empty() {
            true => self.trunks.get(id).is_some_and(|of| of.hops.iter().any(|h| h.remote == hop.remote)),
            false => trunk.trusted.iter().any(|trusted| trusted.contains(hop.remote)),
        };
        let named = request.uri.user().unwrap_or_default();
        let account = |trunk: &Trunk| trunk.user.as_deref().is_some_and(|user| user == named);
        let serves = |trunk: &Trunk| {
            let number = trunk.read(&dialled(Some(trunk), request));
            let owner = number.and_then(|number| {
                let numbers = self.config.numbers.get(&number).map(|(company, _)| company);
                numbers.or_else(|| self.config.services.get(&number).map(|(company, _)| company))
            });
            owner.is_some_and(|company| trunk.serves(company))
        };
        let rank = |trunk: &Trunk| (account(trunk), serves(trunk), !trunk.companies.is_empty());
        let others = self.config.trunks.iter().filter(|(id, trunk)| **id != found && here(id, trunk));
        let first = self.config.trunks.get(&found).map(rank);
        let best = others.map(|(id, trunk)| (rank(trunk), id)).max_by_key(|(rank, _)| *rank);
        match best.filter(|(rank, _)| first.is_none_or(|first| *rank > first)) {
            Some((_, id)) => id.clone(),
            None => found,
        }
    }

    /// What a request dials, as its sender writes it.
    pub(crate) fn dialled(&self, admitted: &Admitted, request: &Request) -> String {
        match admitted {
            Admitted::Trunk(id) => dialled(self.config.trunks.get(id), request),
            Admitted::Device { .. } => identity::dialled(&request.uri),
        }
    }

    /// A number as a carrier writes it, in normal form.
    pub(crate) fn read_number(&self, trunk: Option<&TrunkId>, text: &str) -> Option<Number> {
        match trunk.and_then(|id| self.config.trunks.get(id)) {
            Some(trunk) => trunk.read(text),
            None => crate::model::number::read(text),
        }
    }

    /// Who has sent a carrier's call on before.
    pub(crate) fn diversions_of(&self, trunk: Option<&TrunkId>, request: &Request) -> Vec<Diversion> {
        if trunk.is_none() {
            return Vec::new();
        }
        diversion::read(&request.headers, &|text| self.read_number(trunk, text))
    }

    /// Whether a carrier's call to `target` may begin; else the status and headers to answer with.
    pub(crate) fn screen_call(
        &mut self,
        now: Now,
        admitted: &Admitted,
        request: &Request,
        target: &Target,
    ) -> Result<(), (u16, Extra)> {
        let (Admitted::Trunk(id), Target::Inside { company, .. } | Target::Service { company, .. }) =
            (admitted, target)
        else {
            return Ok(());
        };
        let config = Arc::clone(&self.config);
        let Some(trunk) = config.trunks.get(id) else { return Ok(()) };
        let room = self.channels.room(id, trunk, company);
        let state = self.trunks.get_mut(id);
        let rate = trunk.calls_per_second.incoming;
        if !room || !state.is_none_or(|state| state.incoming.pass(now.mono, rate)) {
            tracing::info!(trunk = %id, room, "trunk takes no more calls");
            return Err((503, bridge::retry_after()));
        }
        let own = trunk.read(&dialled(Some(trunk), request)).unwrap_or_else(|| Number::new(""));
        let list = self.diversions_of(Some(id), request);
        match diversion::coming_in(&list, &own) {
            Some(turns) => {
                self.decide(now, company, None, "call.loop", turns.as_str());
                Err((turns.status(), Extra::new()))
            }
            None => Ok(()),
        }
    }
}

/// Some carriers call the account, and the number stands in To.
fn dialled(trunk: Option<&Trunk>, request: &Request) -> String {
    let account = trunk.and_then(|trunk| trunk.user.as_deref());
    match request.to() {
        Some(to) if account.is_some_and(|account| request.uri.user() == Some(account)) => {
            identity::dialled(&to.uri)
        }
        Some(_) | None => identity::dialled(&request.uri),
    }
}
