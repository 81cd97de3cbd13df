//! The steps of a flow, one file a verb. Each has `enter`, which begins the step, and, when it waits for
//! something, a state with `on`, which handles one event.

pub mod ask;
pub mod caller;
pub mod collect;
pub mod consent;
pub mod dial;
pub mod directory;
pub mod group;
pub mod hangup;
pub mod hours;
pub mod menu;
pub mod play;
pub mod queue;
pub mod room;
pub mod set;
pub mod sms;
pub mod split;
pub mod toggle;
pub mod voicemail;
