//! Ring groups: several people for one number; a queue without waiting room.

use std::sync::Arc;
use std::time::Duration;

use crate::model::flow::Destination;
use crate::model::id::Number;
use crate::model::id::UserId;
use crate::model::queue::Strategy;

/// A ring group (ringegruppe).
#[derive(Debug, Clone, PartialEq)]
pub struct RingGroup {
    /// Shown.
    pub name: Arc<str>,
    /// Extension.
    pub ext: Option<Number>,
    /// In the order written.
    pub members: Vec<UserId>,
    /// How they ring.
    pub strategy: Strategy,
    /// How long in all, unless the flow step says otherwise.
    pub ring: Duration,
    /// Where an unanswered call goes when the flow step has no exit of its own.
    pub no_answer: Option<Destination>,
    /// When all are busy; else as no answer.
    pub busy: Option<Destination>,
    /// When no member is logged in or reachable; else as no answer.
    pub nobody: Option<Destination>,
    /// Members are logged in until they log out (default).
    pub auto_login: bool,
    /// Who is in this pick-up group may take its calls.
    pub pickup_group: Option<Arc<str>>,
}
