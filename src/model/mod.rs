//! Plain data about customers, shared by the core, the store and what people see; no behaviour beyond checks.

pub mod board;
pub mod cdr;
pub mod change;
pub mod check;
pub mod class;
pub mod command;
pub mod company;
pub mod dtmf;
pub mod event;
pub mod figures;
pub mod flow;
pub mod fraud;
pub mod hours;
pub mod ical;
pub mod id;
pub mod mailbox;
pub mod missed;
pub mod number;
pub mod parking;
pub mod personal;
pub mod prompt;
pub mod queue;
pub mod recording;
pub mod report;
pub mod ring_group;
pub mod room;
pub mod server;
pub mod service_number;
pub mod srtp;
pub mod trunk;
pub mod user;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use crate::model::company::Company;
use crate::model::flow::Destination;
use crate::model::id::CompanyId;
use crate::model::id::DeviceId;
use crate::model::id::Number;
use crate::model::id::PlanId;
use crate::model::id::TrunkId;
use crate::model::server::Plan;
use crate::model::server::Server;
use crate::model::service_number::ServiceNumber;
use crate::model::trunk::Route;
use crate::model::trunk::Trunk;

/// Everything a switch knows about its customers, loaded whole and never changed: a reload makes a new one.
///
/// Every reference in it points at something: `shell::store::files` loads it, and nothing else builds one
/// (tests load one from text).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// This machine.
    pub server: Server,
    /// Carriers.
    pub trunks: BTreeMap<TrunkId, Trunk>,
    /// Which outgoing call takes which trunk: first match wins.
    pub routes: Vec<Route>,
    /// Subscriptions.
    pub plans: BTreeMap<PlanId, Plan>,
    /// Customers. Each is shared, so that an unchanged company keeps its address over a reload.
    pub companies: BTreeMap<CompanyId, Arc<Company>>,
    /// Public number → whose and where it leads; also the numbers of users.
    pub numbers: HashMap<Number, (CompanyId, Destination)>,
    /// Public number → whose and which service it is.
    pub services: HashMap<Number, (CompanyId, ServiceNumber)>,
    /// SIP domain and SIP user name → whose device.
    pub devices: HashMap<(Arc<str>, DeviceId), CompanyId>,
}
