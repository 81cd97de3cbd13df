//! Answers that cross our CANCEL: who picks a phone up in the moment in which its ring time ends has answered before
//! the CANCEL comes (RFC 3261 §9.1). If the caller of a queue or group still waits they talk, else the phone is hung up.
//!
//! For phones only: a mobile would have to be asked for its key again, and its channel has been given back.

use crate::model::id::LegId;
use crate::switch::Switch;
use crate::switch::dial::Purpose;
use crate::switch::leg::LegState;
use crate::switch::queue::OfferId;

impl Switch {
    /// The phones of an offer that rang out keep their streams until they have said how it ended.
    pub(crate) fn expect_late_answers(&mut self, offer: OfferId) {
        let Some((call, attempt)) = self.offers.get(&offer).copied() else { return };
        let Some(legs) = self.attempt(call, attempt).map(|of| of.legs.clone()) else { return };
        for leg in legs {
            if let Some(of) = self.legs.get_mut(&leg)
                && of.state == LegState::Calling
                && of.trunk.is_none()
            {
                of.late = Some(offer);
            }
        }
    }

    /// A leg that we cancelled has answered: if its offer rang out it stands again, and the queue says whether the agent
    /// gets the caller. `false` when nobody waits for the answer.
    pub(crate) fn stands_again(&mut self, leg: LegId) -> bool {
        let Some(of) = self.legs.get_mut(&leg) else { return false };
        let (call, offer, user) = (of.call, of.late.take(), of.user.clone());
        let (Some(offer), Some(user)) = (offer, user) else { return false };
        let waits = self.calls.get(&call).is_some_and(|of| !of.ending && of.waiting.is_some());
        // Of two phones of one agent the first has it.
        if !waits || self.offers.contains_key(&offer) {
            return false;
        }
        let attempt = self.new_attempt(call, Purpose::Offer(offer, user));
        self.offers.insert(offer, (call, attempt));
        if let Some(of) = self.attempt(call, attempt) {
            of.legs.insert(leg);
        }
        if let Some(of) = self.legs.get_mut(&leg) {
            of.attempt = Some(attempt);
        }
        true
    }
}
