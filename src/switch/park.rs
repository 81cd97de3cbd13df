//! Parking: a caller is put into a slot that anybody may take the call from, by the slot's extension.
//!
//! Who parks does so by REFER to a slot or to the code, by the code with the caller on hold, or by command; the slot is
//! spoken to them, and its lamp is lit. A caller who is not taken back comes back to who parked, see
//! `switch::returns`. Parked calls are ordinary calls: a reload changes nothing about them.

use std::time::Instant;

use crate::media::Base;
use crate::media::PlayId;
use crate::media::PlayItem;
use crate::model::id::CallId;
use crate::model::id::CompanyId;
use crate::model::id::LegId;
use crate::model::id::UserKey;
use crate::switch::Switch;
use crate::switch::flow::Program;
use crate::switch::flow::action::Event;
use crate::switch::people::Refusal;
use crate::switch::people::Said;
use crate::switch::people::Talk;
use crate::switch::returns;
use crate::switch::say;
use crate::switch::say::What;
use crate::switch::system_prompt;
use crate::switch::transfer::Referral;
use crate::switch::watch::Watched;
use crate::time::Now;

/// Who is in a slot.
#[derive(Clone, Debug)]
pub(crate) struct Parked {
    /// The parked party's.
    pub(crate) call: CallId,
    /// Who parked.
    pub(crate) by: UserKey,
    /// Since when.
    pub(crate) since: Instant,
}

impl Switch {
    /// The code: parks what the caller has on hold; without that, takes back from the slot, or what they parked.
    pub(crate) fn order_park(
        &mut self,
        now: Now,
        call: CallId,
        by: &UserKey,
        slot: Option<u32>,
    ) -> Result<Option<Said>, Refusal> {
        match (self.parkable(by, Some(call)), slot) {
            (Some(talk), slot) => self.park_talk(now, by, talk, slot).map(|slot| Some(Said::Parked(slot))),
            (None, Some(slot)) => self.take_back(now, call, by, slot),
            (None, None) => {
                let own = self.between.parked.iter().filter(|(_, parked)| parked.by == *by);
                let newest = own.max_by_key(|(_, parked)| parked.since).map(|((_, slot), _)| *slot);
                self.take_back(now, call, by, newest.ok_or(Refusal::NothingHeld)?)
            }
        }
    }

    /// The extension of a slot: takes back who is there, else parks what the caller has on hold.
    pub(crate) fn order_slot(
        &mut self,
        now: Now,
        call: CallId,
        by: &UserKey,
        slot: u32,
    ) -> Result<Option<Said>, Refusal> {
        let taken = self.between.parked.contains_key(&(by.company.clone(), slot));
        match self.parkable(by, Some(call)) {
            Some(talk) if !taken => {
                self.park_talk(now, by, talk, Some(slot)).map(|slot| Some(Said::Parked(slot)))
            }
            Some(_) | None => self.take_back(now, call, by, slot),
        }
    }

    /// The call of a user that would be parked: the newest on hold.
    fn parkable(&self, by: &UserKey, except: Option<CallId>) -> Option<Talk> {
        self.talks_of(by, except).into_iter().rfind(|talk| talk.held)
    }

    /// Parks whom a user talks with; the user's leg is let go.
    pub(crate) fn park_talk(
        &mut self,
        now: Now,
        by: &UserKey,
        talk: Talk,
        slot: Option<u32>,
    ) -> Result<u32, Refusal> {
        let slot = self.park(now, talk.call, talk.party, by, slot)?;
        self.hang_up_leg(now, talk.leg, Vec::new());
        self.update_busy(now, talk.call);
        Ok(slot)
    }

    /// A REFER to a slot or to the code: the party is parked, and who parks hears where.
    pub(crate) fn park_referred(
        &mut self,
        now: Now,
        call: CallId,
        party: LegId,
        by: &UserKey,
        referral: Referral,
        slot: Option<u32>,
    ) {
        let leg = referral.leg;
        let Ok(slot) = self.park(now, call, party, by, slot) else { return };
        let language = self
            .config
            .companies
            .get(&by.company)
            .and_then(|company| company.users.get(&by.user))
            .map_or(self.config.server.language, |user| user.language);
        let said = say::say(language, &What::Digits(&slot.to_string()));
        let ids = std::iter::once("people/parked".into()).chain(said);
        let items = ids.map(|id| PlayItem::Clip(system_prompt(language, &id))).collect();
        self.set_base(leg, Base::Silence);
        let telling = self.play(leg, items, 1);
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.referral = Some(referral);
        of.telling = telling;
        if telling.is_none() {
            self.referral_done(now, call);
        }
        self.update_busy(now, call);
    }

    /// What was played to who parks is over. `false`: it was not that.
    pub(crate) fn told_slot(&mut self, now: Now, call: CallId, play: PlayId) -> bool {
        let told = self.calls.get_mut(&call).and_then(|of| of.telling.take_if(|telling| *telling == play));
        if told.is_some() {
            self.referral_done(now, call);
        }
        told.is_some()
    }

    /// The slot that would be taken: this one, or the first that is free.
    pub(crate) fn free_slot(&self, company: &CompanyId, wanted: Option<u32>) -> Result<u32, Refusal> {
        let parking = self.config.companies.get(company).and_then(|of| of.parking.as_ref());
        let parking = parking.ok_or(Refusal::NoSlot)?;
        let free = |slot: &u32| !self.between.parked.contains_key(&(company.clone(), *slot));
        match wanted {
            Some(slot) if !(parking.first..=parking.last).contains(&slot) => Err(Refusal::NoSlot),
            Some(slot) => Some(slot).filter(free).ok_or(Refusal::SlotTaken),
            None => (parking.first..=parking.last).find(free).ok_or(Refusal::SlotsFull),
        }
    }

    /// Parks a party of a call. The other's leg is the business of who calls this.
    fn park(
        &mut self,
        now: Now,
        call: CallId,
        party: LegId,
        by: &UserKey,
        slot: Option<u32>,
    ) -> Result<u32, Refusal> {
        let company = self.calls.get(&call).map(|of| of.company.clone()).ok_or(Refusal::NoCall)?;
        if company != by.company {
            return Err(Refusal::NotAllowed);
        }
        let slot = self.free_slot(&company, slot)?;
        self.leave_alone(now, call, party);
        let run = self.parked_return(by, slot).ok_or(Refusal::NoSlot)?;
        let Some(of) = self.calls.get_mut(&call) else { return Err(Refusal::NoCall) };
        of.parked = Some(slot);
        of.transferred = None;
        of.program = Some(Program::Return(run));
        let parked = Parked { call, by: by.clone(), since: now.mono };
        self.between.parked.insert((company.clone(), slot), parked);
        self.stop_play(party);
        let music = self.music_of(call);
        self.set_base(party, Base::Music(music));
        self.update_busy(now, call);
        self.watch_changed(&Watched::Slot(company.clone(), slot));
        self.decide(now, &company, Some(call), "park.parked", &format!("order: slot {slot} by {}", by.user));
        self.run_program(now, call, Event::Start);
        Ok(slot)
    }

    /// The program of a parked call.
    fn parked_return(&self, by: &UserKey, slot: u32) -> Option<returns::Run> {
        let company = self.config.companies.get(&by.company)?;
        let parking = company.parking.as_ref()?;
        let person = company.users.get(&by.user);
        let language = person.map_or(company.language, |person| person.language);
        let shown = returns::parked_name(language, slot);
        Some(returns::Run::parked(by.user.clone(), shown, parking.return_after, parking.return_to.clone()))
    }

    /// The caller of `call` gets who is parked in a slot.
    pub(crate) fn take_back(
        &mut self,
        now: Now,
        call: CallId,
        by: &UserKey,
        slot: u32,
    ) -> Result<Option<Said>, Refusal> {
        let parked = self.between.parked.get(&(by.company.clone(), slot)).ok_or(Refusal::SlotEmpty)?;
        let into = parked.call;
        let company = by.company.clone();
        if self.join(now, call, into) {
            let why = format!("order: slot {slot} by {}", by.user);
            self.decide(now, &company, Some(into), "park.taken_back", &why);
        }
        Ok(None)
    }

    /// A call is no longer parked.
    pub(crate) fn leave_slot(&mut self, call: CallId) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let Some(slot) = of.parked.take() else { return };
        let company = of.company.clone();
        self.between.parked.remove(&(company.clone(), slot));
        self.watch_changed(&Watched::Slot(company, slot));
    }

    /// Whether somebody is in a slot, and whether they ring who parked.
    pub(crate) fn slot_state(&self, company: &CompanyId, slot: u32) -> Option<bool> {
        let parked = self.between.parked.get(&(company.clone(), slot))?;
        Some(self.calls.get(&parked.call).is_some_and(|of| !of.attempts.is_empty()))
    }
}
