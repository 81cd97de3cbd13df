//! Users, their devices and what happens when they do not answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::class::Classes;
use crate::model::dtmf::KeysBy;
use crate::model::flow::Destination;
use crate::model::id::MediaId;
use crate::model::id::Number;
use crate::model::id::PlanId;
use crate::model::id::SiteId;
use crate::model::id::UserId;
use crate::model::recording::Recording;
use crate::model::server::Language;
use crate::model::server::Secret;
use crate::model::srtp::SrtpPolicy;

/// What a user may do in the portal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Own page and calls.
    #[default]
    Employee,
    /// Live view and reports of named queues.
    Supervisor,
    /// Everything of the company.
    Admin,
}

/// What of a user rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rings {
    /// Registered SIP devices, apps among them; apps that sleep are woken.
    Devices,
    /// Registered SIP devices that are no apps.
    Phones,
    /// The mobile number, through a trunk.
    Mobile,
    /// Apps only; those that sleep are woken.
    App,
}

/// One thing of a user that rings: when, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactRule {
    /// What.
    pub what: Rings,
    /// After the others began; at once when nothing else rings.
    pub delay: Duration,
    /// Whether a key must be pressed, whatever the queue or flow says; none leaves it to them.
    pub confirm: Option<bool>,
    /// It rings for so long at most, of all the time that there is. A mobile whose answer must be confirmed rings 18 s
    /// when nothing is said.
    pub ring: Option<Duration>,
}

impl User {
    /// Whether this is among what rings, in a call that no queue gives.
    pub fn is_rung_at(&self, what: Rings) -> bool {
        self.rings.iter().any(|rule| rule.what == what)
    }
}

impl From<Rings> for ContactRule {
    fn from(what: Rings) -> ContactRule {
        ContactRule { what, delay: Duration::ZERO, confirm: None, ring: None }
    }
}

/// Where a call goes when a condition of the user holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// After this ring time (`no_answer` only).
    pub after: Option<Duration>,
    /// Where to.
    pub to: Destination,
}

/// One step of a search for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// What rings.
    pub rings: Vec<Rings>,
    /// For how long.
    pub long: Duration,
}

/// A person or place with an extension.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Shown.
    pub name: Arc<str>,
    /// Shown in the directory.
    pub title: Option<Arc<str>>,
    /// Extension.
    pub ext: Option<Number>,
    /// Direct public number.
    pub number: Option<Number>,
    /// Mobile number.
    pub mobile: Option<Number>,
    /// For voicemail and messages.
    pub email: Option<Arc<str>>,
    /// In the portal.
    pub role: Role,
    /// Subscription, else the company's.
    pub plan: Option<PlanId>,
    /// Has the switchboard view.
    pub switchboard: bool,
    /// A call that they transfer and nobody answers comes back after this; without it only when it would end.
    pub return_after: Option<Duration>,
    /// Names of the groups whose ringing calls they may take.
    pub pickup_groups: Vec<Arc<str>>,
    /// Colleagues may speak to them through a phone that answers by itself.
    pub intercom: bool,
    /// To log in at a shared phone, where else that of the voicemail box counts, and to prove at a service number who
    /// calls, where the carrier does not (4–8 digits).
    pub pin: Option<Secret>,
    /// Listed in the company directory.
    pub directory: bool,
    /// The name as a recording, for those who look for it by keys; else it is spelled.
    pub spoken: Option<MediaId>,
    /// Language, else the company's.
    pub language: Language,
    /// What rings.
    pub rings: Vec<ContactRule>,
    /// Ring time of a direct call when no `no_answer` says otherwise.
    pub ring: Duration,
    /// Always.
    pub forward_always: Option<Forward>,
    /// When nobody answers.
    pub no_answer: Option<Forward>,
    /// When busy.
    pub busy: Option<Forward>,
    /// When no device is registered and no mobile rings.
    pub unavailable: Option<Forward>,
    /// Where the user sits: its number is shown on emergency calls, else the company's.
    pub site: Option<SiteId>,
    /// Number shown on outgoing calls, else own number, else the company's.
    pub show: Option<Number>,
    /// No number is shown on outgoing calls.
    pub hide: bool,
    /// A second call rings while the user talks; else it is busy.
    pub call_waiting: bool,
    /// What rings, step by step, on a direct call, in place of all of it at once.
    pub find: Vec<Find>,
    /// Numbers by the digits that stand for them.
    pub speed: BTreeMap<Arc<str>, Number>,
    /// Has a voicemail box of their own, and its PIN (4–8 digits) when set here.
    pub voicemail: Option<PersonalMailbox>,
    /// May call international numbers, whatever `allow` says.
    pub international: bool,
    /// Destinations open to them besides the usual ones, else the company's.
    pub allow: Option<Classes>,
    /// Whether their calls are recorded that no queue gives, else as the company has it.
    pub recording: Option<Recording>,
}

impl User {
    /// The digits that prove at a shared phone who it is.
    pub fn desk_pin(&self) -> Option<&Secret> {
        self.pin.as_ref().or_else(|| self.voicemail.as_ref()?.pin.as_ref())
    }
}

/// A user's own voicemail box.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PersonalMailbox {
    /// 4–8 digits; none means that only the user's own devices may listen, without a PIN.
    pub pin: Option<Secret>,
    /// Mails to the user hold the message itself.
    pub email_audio: bool,
    /// How long a message is kept; none is for ever.
    pub keep: Option<Duration>,
}

/// A SIP device.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Whose.
    pub user: UserId,
    /// For provisioning.
    pub model: Option<Arc<str>>,
    /// For provisioning, lower case with colons.
    pub mac: Option<Arc<str>>,
    /// From the file; without one the switch makes one and keeps it in the state database.
    pub password: Option<Secret>,
    /// Addresses it may register from; empty means anywhere.
    pub from: Vec<IpAddr>,
    /// Whether its audio is encrypted; else as suits what it registers by: a browser is called with DTLS.
    pub srtp: Option<SrtpPolicy>,
    /// Users may log in at it.
    pub hot_desk: bool,
    /// Where it stands, else where its user sits: for emergency calls.
    pub site: Option<SiteId>,
    /// How it sends keys, and is sent them.
    pub dtmf: KeysBy,
}
