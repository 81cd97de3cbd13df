//! What must hold of a switch between inputs, and what is left of it when nothing goes on.

use std::collections::HashMap;
use std::collections::HashSet;

use crate::model::id::UserKey;
use crate::sip::DialogId;
use crate::switch::Switch;
use crate::switch::bridge;
use crate::switch::channels::Channels;

impl Switch {
    /// Checks what must hold between inputs; ends each public method in debug builds.
    ///
    /// # Panics
    /// When it does not: that is a bug.
    pub fn check_invariants(&self) {
        let in_use = self.legs.values().filter(|leg| leg.stream.is_some()).count();
        assert_eq!(
            in_use + self.closing + self.ports.free(),
            self.ports.total(),
            "ports in legs + closing + free = all"
        );
        #[cfg(debug_assertions)]
        self.check_meetings();
        #[cfg(debug_assertions)]
        self.check_mixes();
        for (id, call) in &self.calls {
            // Nobody calls yet where somebody is to be called back: the agent is rung first.
            let has_caller = call.originate.is_some()
                || self.callbacks.carries(*id)
                || self.legs.contains_key(&call.caller);
            assert!(has_caller, "call {id} has its caller's leg");
            if let Some(callee) = call.callee {
                assert!(self.legs.contains_key(&callee), "call {id} has its callee's leg");
            }
            if let Some(referral) = &call.referral {
                assert!(self.legs.contains_key(&referral.leg), "call {id} has the leg of who transfers");
            }
            for attempt in call.attempts.values() {
                assert!(
                    attempt.legs.iter().all(|leg| self.legs.contains_key(leg)),
                    "call {id}: legs that ring"
                );
            }
        }
        let dialogs: HashSet<DialogId> = self.legs.values().map(|leg| leg.dialog).collect();
        assert_eq!(dialogs.len(), self.legs.len(), "a leg has its own dialog");
        assert_eq!(self.by_dialog.len(), self.legs.len(), "dialogs lead to legs");
        let mut channels = Channels::default();
        self.legs.values().filter_map(|leg| leg.channel.as_ref()).for_each(|channel| channels.take(channel));
        assert_eq!(channels, self.channels, "channels of legs = channels in use");
    }

    /// Agents whose facts, counted anew, differ from what the queues were told.
    pub(crate) fn audit(&self) -> u64 {
        let mut counted: HashMap<UserKey, usize> = HashMap::new();
        for call in self.calls.values() {
            for user in bridge::busy_users(call, &self.legs) {
                *counted.entry(user).or_insert(0) += 1;
            }
        }
        let wrong = self.in_call.iter().filter(|(user, count)| counted.get(*user) != Some(count)).count();
        let missing = counted.keys().filter(|user| !self.in_call.contains_key(*user)).count();
        (wrong + missing) as u64
    }

    /// Whether nothing is left of any call: what a test asserts at its end.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
            && self.legs.is_empty()
            && self.by_dialog.is_empty()
            && self.by_stream.is_empty()
            && self.offers.is_empty()
            && self.callbacks.is_idle()
            && self.whispers.is_empty()
            && self.keying.is_empty()
            && self.recordings.is_empty()
            && self.tapes.is_empty()
            && self.early_body.is_empty()
            && self.in_call.is_empty()
            && self.spending.is_idle()
            && self.channels == Channels::default()
            && self.closing == 0
            && self.ports.free() == self.ports.total()
            && self.endpoint.transactions() == 0
            && self.queues.waiting() == 0
            && self.between.parked.is_empty()
            && self.between.takes.is_empty()
            && self.conferences.is_idle()
            && self.mixes.is_empty()
    }

    /// What is not idle, in words for a failing test.
    pub fn leftovers(&self) -> String {
        format!(
            "calls {} legs {} dialogs {} streams {} offers {} recordings {} early {} in_call {} closing {} ports {}/{} transactions {} waiting {}",
            self.calls.len(),
            self.legs.len(),
            self.by_dialog.len(),
            self.by_stream.len(),
            self.offers.len(),
            self.recordings.len() + self.tapes.len(),
            self.early_body.len(),
            self.in_call.len(),
            self.closing,
            self.ports.free(),
            self.ports.total(),
            self.endpoint.transactions(),
            self.queues.waiting(),
        )
    }
}
