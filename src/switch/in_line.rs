//! A call in a queue or ring group: how it joins and leaves, what the queues want done, and what their callers hear.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::media::Base;
use crate::media::ClipName;
use crate::media::PlayItem;
use crate::media::tone::Tone;
use crate::model::change::Change;
use crate::model::id::CallId;
use crate::model::id::LineId;
use crate::model::id::LineKey;
use crate::model::id::QueueId;
use crate::model::prompt::PromptKey;
use crate::switch::Switch;
use crate::switch::Timer;
use crate::switch::call::Listener;
use crate::switch::call::Waiting;
use crate::switch::callback::Offered;
use crate::switch::callback::callback_prompts;
use crate::switch::callback::eta_prompt;
use crate::switch::callback::immediate;
use crate::switch::clip_name;
use crate::switch::flow::action::Event;
use crate::switch::flow::action::Outcome;
use crate::switch::flow::action::QueueExit;
use crate::switch::leg::LegState;
use crate::switch::queue;
use crate::switch::queue::Announcement;
use crate::switch::queue::ExitReason;
use crate::switch::queue::OfferId;
use crate::switch::reasons;
use crate::switch::say;
use crate::switch::say::What;
use crate::switch::watch::Watched;
use crate::time::Now;

impl Switch {
    /// A caller is answered and joins a queue.
    pub(crate) fn enqueue(
        &mut self,
        now: Now,
        call: CallId,
        queue: QueueId,
        priority: Option<i32>,
        carry_wait: bool,
    ) {
        if self.answer_caller(now, call, None) {
            self.join_line(now, call, LineId::Queue(queue), priority, carry_wait, None);
        }
    }

    /// A caller joins a queue or a ring group.
    pub(crate) fn join_line(
        &mut self,
        now: Now,
        call: CallId,
        line: LineId,
        priority: Option<i32>,
        carry_wait: bool,
        ring: Option<Duration>,
    ) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.asked = true;
        let line = LineKey { company: of.company.clone(), line };
        let waited_since = if carry_wait { of.waited_since } else { None };
        of.waited_since = Some(waited_since.unwrap_or(now.mono));
        of.waiting = Some(Waiting { line: line.clone(), since: now.mono });
        let priority = priority.or(of.priority);
        let caller = of.caller;
        if let LineId::Queue(queue) = &line.line {
            of.cdr.queue = Some(queue.clone());
            let music = self.music_of(call);
            self.set_base(caller, Base::Music(music));
        }
        let (open, _) = self.line_open(now, &line);
        let number = self.number_of_caller(call);
        let joining = queue::Caller { entry: call, priority, waited_since, ring, open, number };
        self.queue_input(now, queue::Input::Join { line: line.clone(), caller: joining });
        if matches!(line.line, LineId::Group(_))
            && self.calls.get(&call).is_some_and(|of| of.waiting.is_some())
        {
            match self.legs.get(&caller).map(|leg| leg.state) {
                Some(LegState::Up) => self.set_base(caller, Base::Tone(Tone::Ringback)),
                Some(LegState::Incoming | LegState::Calling | LegState::Cancelled) | None => {
                    self.ring_caller(now, call);
                }
            }
        }
    }

    pub(crate) fn leave_queue(&mut self, now: Now, call: CallId, why: queue::Left) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let Some(waiting) = of.waiting.take() else { return };
        let caller = of.caller;
        of.playing = None;
        self.note_wait(now, call, waiting.since);
        self.queue_input(now, queue::Input::Leave { entry: call, why });
        self.stop_play(caller);
        self.set_base(caller, Base::Silence);
    }

    /// Hands an input to the queues; what they say is looked at when the input in hand is settled.
    pub(crate) fn queue_input(&mut self, now: Now, input: queue::Input) {
        self.queues.handle_input(now, input);
    }

    /// Does what the queues say; tells whether they said anything.
    pub(crate) fn settle_queues(&mut self, now: Now) -> bool {
        let mut any = false;
        while let Some(output) = self.queues.poll_output() {
            any = true;
            self.on_queue(now, output);
        }
        self.forget_uncarried();
        any
    }

    fn on_queue(&mut self, now: Now, output: queue::Output) {
        match output {
            queue::Output::Offer { offer, entry, agent, line, callback: Some(number), .. } => {
                self.offer_callback(now, offer, Offered { line, entry, agent, number });
            }
            queue::Output::Offer { offer, entry, agent, .. } => self.ring_agent(now, entry, offer, &agent),
            queue::Output::Withdraw { offer, why } => {
                self.withdraw_callback(now, offer);
                self.let_go(now, offer, &why);
            }
            queue::Output::Refuse { offer, why } => self.let_go(now, offer, &why),
            queue::Output::Connect { offer, entry, .. } => self.whisper_or_connect(now, offer, entry),
            queue::Output::DialBack { offer, entry, number, .. } => self.dial_back(now, offer, entry, number),
            queue::Output::Say { entry, what } => self.announce(now, entry, &what),
            queue::Output::Hush { entry } => {
                if let Some(of) = self.calls.get_mut(&entry)
                    && matches!(of.playing, Some((_, Listener::Queue)))
                {
                    of.playing = None;
                    let caller = of.caller;
                    self.stop_play(caller);
                }
            }
            queue::Output::Exit { entry, line, exit, waited_since } => {
                self.left_line(now, entry, &line, exit, waited_since);
            }
            queue::Output::Change(change) => {
                if let Change::AgentLogin { agent, .. } | Change::AgentPaused { agent, .. } = &change {
                    self.watch_changed(&Watched::User(agent.clone()));
                }
                self.tell_auto_paused(now, &change);
                self.tell(change);
            }
            queue::Output::Event { entry, line, event, why, mut fields } => {
                let company = line.company.clone();
                fields.line.get_or_insert_with(|| line.line.clone());
                self.decide_with(now, &company, Some(entry), event, &why, *fields);
                // Whatever the queue decides about a caller may change its lamp.
                self.watch_changed(&Watched::Line(line));
            }
        }
    }

    /// Whoever is rung for an offer, or answered too late, is let go and told why.
    fn let_go(&mut self, now: Now, offer: OfferId, why: &queue::Withdrawn) {
        let Some((call, _)) = self.offers.get(&offer) else { return };
        let reason = reasons::withdrawn(self.language_of_phones(*call), why);
        if *why == queue::Withdrawn::NoAnswer {
            self.expect_late_answers(offer);
        }
        self.withdraw(now, offer, reason);
    }

    /// The agent who answered an offer gets the caller.
    pub(crate) fn connect_offer(&mut self, now: Now, offer: OfferId, call: CallId) {
        let (Some(winner), Some(of)) = (self.offer_leg(offer), self.calls.get_mut(&call)) else { return };
        if let Some(waiting) = of.waiting.take() {
            of.served_by = Some(waiting.line.clone());
            self.note_wait(now, call, waiting.since);
        }
        self.connect(now, call, winner);
        if self.calls.contains_key(&call) {
            self.queue_input(now, queue::Input::TalkStarted { entry: call });
        }
    }

    /// What the queue wants its caller to hear, over the music.
    fn announce(&mut self, now: Now, call: CallId, what: &[Announcement]) {
        let Some(of) = self.calls.get(&call) else { return };
        let Some(waiting) = &of.waiting else { return };
        let Some(company) = self.config.companies.get(&of.company) else { return };
        let LineId::Queue(id) = &waiting.line.line else { return };
        let Some(queue) = company.queues.get(id) else { return };
        let language = of.facts.language;
        let system = |ids: Vec<Arc<str>>| -> Vec<ClipName> {
            ids.iter().map(|id| crate::switch::system_prompt(language, id)).collect()
        };
        let own = |media: &Option<Option<crate::model::id::MediaId>>, default: &str| match media {
            Some(Some(media)) => vec![clip_name(&PromptKey::Media(company.id.clone(), media.clone()))],
            Some(None) => Vec::new(),
            None => system(vec![default.into()]),
        };
        let mut clips: Vec<ClipName> = Vec::new();
        for announcement in what {
            clips.extend(match announcement {
                Announcement::Welcome => own(&queue.welcome, "queue/welcome"),
                Announcement::Comfort => own(&queue.comfort, "queue/all-busy"),
                Announcement::Position(place) => system(say::say(language, &What::Position(*place))),
                Announcement::Wait(eta) => system(vec![eta_prompt(*eta).into()]),
                Announcement::Callback => system(callback_prompts(language, queue)),
                Announcement::HighTraffic => {
                    let play = queue.high_traffic.as_ref().and_then(|high| high.play.clone());
                    own(&play.map(Some), "queue/high-traffic")
                }
            });
        }
        if clips.is_empty() {
            self.queue_input(now, queue::Input::Announced { entry: call });
            return;
        }
        let items = clips.into_iter().map(PlayItem::Clip).collect();
        self.play_to_caller(call, items, 1, Listener::Queue);
    }

    /// A queue or group gave a caller back.
    fn left_line(&mut self, now: Now, call: CallId, line: &LineKey, exit: ExitReason, since: Instant) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let joined = of.waiting.take().map_or(since, |waiting| waiting.since);
        self.note_missed(now, call, line, exit.as_str());
        let Some(of) = self.calls.get_mut(&call) else { return };
        of.playing = None;
        let caller = of.caller;
        self.note_wait(now, call, joined);
        self.stop_play(caller);
        self.set_base(caller, Base::Silence);
        let event = match (&line.line, exit) {
            (LineId::Queue(_), ExitReason::Timeout | ExitReason::Busy) => Event::Queue(QueueExit::Timeout),
            (LineId::Queue(_), ExitReason::NoAnswer) => Event::Queue(QueueExit::NoAnswer),
            (LineId::Queue(_), ExitReason::AllPaused) => Event::Queue(QueueExit::AllPaused),
            (LineId::Queue(_), ExitReason::RejectedByAll) => Event::Queue(QueueExit::RejectedByAll),
            (LineId::Queue(_), ExitReason::CallbackTaken) => Event::Queue(QueueExit::CallbackTaken),
            (LineId::Queue(_), ExitReason::Full) => Event::Queue(QueueExit::Full),
            (LineId::Queue(_), ExitReason::Nobody) => Event::Queue(QueueExit::Nobody),
            (LineId::Queue(_), ExitReason::Closed) => Event::Queue(QueueExit::Closed),
            (LineId::Queue(_), ExitReason::Gone) => Event::Queue(QueueExit::Gone),
            (LineId::Group(_), ExitReason::Nobody | ExitReason::AllPaused) => Event::Dialled(Outcome::Nobody),
            (LineId::Group(_), ExitReason::Busy | ExitReason::Full) => Event::Dialled(Outcome::Busy),
            (LineId::Group(_), ExitReason::Gone | ExitReason::Closed) => Event::Dialled(Outcome::Unavailable),
            (
                LineId::Group(_),
                ExitReason::Timeout
                | ExitReason::NoAnswer
                | ExitReason::RejectedByAll
                | ExitReason::CallbackTaken,
            ) => Event::Dialled(Outcome::NoAnswer),
        };
        self.run_program(now, call, event);
    }

    /// Whether a queue's own hours say that it is open, and if not, whether nobody may wait on; sets the timer for
    /// when that changes.
    fn line_open(&mut self, now: Now, line: &LineKey) -> (bool, bool) {
        let always = (true, false);
        let Some(company) = self.config.companies.get(&line.company) else { return always };
        let LineId::Queue(id) = &line.line else { return always };
        let Some(hours_id) = company.queues.get(id).and_then(|queue| queue.hours.clone()) else {
            return always;
        };
        let Some(state) = self.toggles.hours(company, &hours_id, now.utc) else { return always };
        if let Some(until) = state.until {
            let wait = Duration::try_from(until.duration_since(now.utc)).unwrap_or(Duration::ZERO);
            self.timers.set(Timer::LineHours(line.clone()), now.mono + wait);
        }
        let open = &*state.category == "open";
        (open, !open && immediate(company, &state))
    }

    /// A queue's hours change, or may have: waiting callers learn it.
    pub(crate) fn line_hours(&mut self, now: Now, line: &LineKey, changed: bool) {
        if changed {
            let (open, immediate) = self.line_open(now, line);
            self.queue_input(now, queue::Input::LineHours { line: line.clone(), open, immediate });
        }
    }
}
