//! Segments of talk: each user's own part of a call, from the moment they are joined with the other party until
//! they leave, are replaced, or the call ends. A transfer ends one segment and begins another.

use std::time::Instant;

use crate::model::cdr::Direction;
use crate::model::event::Fields;
use crate::model::id::CallId;
use crate::model::id::LineId;
use crate::model::id::UserKey;
use crate::switch::Switch;
use crate::switch::leg::LegState;
use crate::time::Now;

/// A user's part of a call.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    user: UserKey,
    /// The queue or ring group that gave them the caller.
    line: Option<LineId>,
    /// Out for who called, in for who was called.
    direction: Direction,
    since: Instant,
}

impl Switch {
    /// Looks at who talks in a call: begins and ends segments.
    pub(crate) fn review_segments(&mut self, now: Now, call: CallId) {
        let talking = self.talkers(call);
        let Some(of) = self.calls.get_mut(&call) else { return };
        let before = std::mem::take(&mut of.segments);
        let is = |a: &Segment, user: &UserKey, line: &Option<LineId>| a.user == *user && a.line == *line;
        let (kept, over): (Vec<Segment>, Vec<Segment>) =
            before.into_iter().partition(|s| talking.iter().any(|(user, line, _)| is(s, user, line)));
        of.segments = kept;
        for (user, line, direction) in talking {
            if !of.segments.iter().any(|s| is(s, &user, &line)) {
                of.segments.push(Segment { user, line, direction, since: now.mono });
            }
        }
        self.tell_segments(now, call, over);
    }

    /// Ends every segment of a call that is over.
    pub(crate) fn end_segments(&mut self, now: Now, call: CallId) {
        let Some(of) = self.calls.get_mut(&call) else { return };
        let over = std::mem::take(&mut of.segments);
        self.tell_segments(now, call, over);
    }

    /// Our users among the two who hear each other, with the line that gave the callee the caller.
    fn talkers(&self, call: CallId) -> Vec<(UserKey, Option<LineId>, Direction)> {
        let Some(of) = self.calls.get(&call).filter(|of| !of.ending) else { return Vec::new() };
        let Some(callee) = of.callee else { return Vec::new() };
        let up = |leg| self.legs.get(&leg).is_some_and(|leg| leg.state == LegState::Up);
        if !up(of.caller) || !up(callee) {
            return Vec::new();
        }
        let line = of.served_by.as_ref().map(|line| line.line.clone());
        // A mobile that was rung is its user's, although it is a carrier's leg.
        let whose = |leg| self.user_of_leg(leg).or_else(|| self.legs.get(&leg)?.user.clone());
        let caller = whose(of.caller).map(|user| (user, None, Direction::Out));
        let callee = whose(callee).map(|user| (user, line, Direction::In));
        caller.into_iter().chain(callee).collect()
    }

    fn tell_segments(&mut self, now: Now, call: CallId, over: Vec<Segment>) {
        for Segment { user, line, direction, since } in over {
            let talk = now.mono.saturating_duration_since(since);
            let why = format!("over: {} after {} s", user.user, talk.as_secs());
            let fields = Fields {
                line,
                agent: Some(user.user),
                direction: Some(direction),
                talk_ms: Some(u64::try_from(talk.as_millis()).unwrap_or(u64::MAX)),
                ..Fields::default()
            };
            self.decide_with(now, &user.company, Some(call), "talk.ended", &why, fields);
        }
    }
}
