//! Dialled number → where the call goes: a pure function, tested by table (`tests/tables/route.rs`).
//!
//! From a device, first that holds: emergency number, service code, extension, public number of any company
//! (the call stays inside), a route to the outside. From a trunk: public numbers only.

use std::sync::Arc;

use crate::model::Config;
use crate::model::class::Classes;
use crate::model::class::PriceClass;
use crate::model::company::Company;
use crate::model::company::Extension;
use crate::model::flow::Destination;
use crate::model::id::CompanyId;
use crate::model::id::LineId;
use crate::model::id::Number;
use crate::model::id::ToggleId;
use crate::model::id::TrunkId;
use crate::model::id::UserId;
use crate::model::number;
use crate::model::number::Class;
use crate::model::trunk::Route;
use crate::model::trunk::Trunk;
use crate::model::trunk::Via;
use crate::switch::gruu::Instance;
use crate::switch::mailbox;
use crate::switch::pausing::PauseCode;
use crate::switch::people;
use crate::switch::people::Order;
use crate::switch::service::Service;
use crate::switch::service_number;
use crate::switch::star;

/// Who dials.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A carrier.
    Trunk(&'a TrunkId),
    /// A device of a user.
    User {
        /// Whose.
        company: &'a CompanyId,
        /// Who.
        user: &'a UserId,
    },
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Somewhere in a company.
    Inside {
        /// Whose; not always the caller's.
        company: CompanyId,
        /// Where.
        destination: Destination,
    },
    /// One phone of a user and no other, by its GRUU; nothing follows when it does not answer.
    Phone {
        /// The caller's.
        company: CompanyId,
        /// Whose phone it is.
        user: UserId,
        /// Which.
        only: Instance,
    },
    /// The extension of a toggle, which flips it.
    Toggle {
        /// The caller's.
        company: CompanyId,
        /// Which.
        toggle: ToggleId,
    },
    /// A service code.
    Service {
        /// The caller's.
        company: CompanyId,
        /// Which.
        service: Service,
    },
    /// Through a trunk.
    Outside {
        /// The caller's.
        company: CompanyId,
        /// E.164 or short.
        number: Number,
        /// Tried in order; equal ones share the calls.
        trunks: Via,
        /// Bypasses every rule.
        emergency: bool,
        /// The caller's number is hidden for this call.
        hide: bool,
    },
    /// Nowhere: the caller hears that the number is barred. [`route`] gives none of these.
    Barred {
        /// The caller's.
        company: CompanyId,
        /// The final SIP status.
        status: u16,
        /// A class or limit.
        why: &'static str,
    },
}

/// Why a call goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// Nobody has this number, and no route leads to it.
    #[error("nobody has this number")]
    Unknown,
    /// More digits are needed.
    #[error("the number is not complete")]
    Incomplete,
    /// A route refuses it.
    #[error("route \"{route}\" bars this number")]
    Barred {
        /// Its name.
        route: Arc<str>,
    },
    /// The caller has no right to call numbers of this class.
    #[error("calls to {} numbers are not allowed", class.as_str())]
    NotAllowed {
        /// Which.
        class: PriceClass,
    },
}

impl NoRoute {
    /// The final SIP status.
    pub fn status(&self) -> u16 {
        match self {
            NoRoute::Unknown => 404,
            // RFC 3261 §21.4.22: a phone that sends digits one by one goes on after 484.
            NoRoute::Incomplete => 484,
            NoRoute::Barred { .. } | NoRoute::NotAllowed { .. } => 403,
        }
    }
}

/// Where a call from `origin` to `dialled` goes. `dialled` is the user part of the Request-URI without parameters.
///
/// # Errors
/// When it goes nowhere.
pub fn route(config: &Config, origin: &Origin<'_>, dialled: &str) -> Result<Target, NoRoute> {
    match origin {
        Origin::Trunk(trunk) => {
            from_trunk(config, config.trunks.get(*trunk), dialled).ok_or(NoRoute::Unknown)
        }
        Origin::User { company, user } => {
            let company = config.companies.get(*company).ok_or(NoRoute::Unknown)?;
            from_user(config, company, user, dialled)
        }
    }
}

/// Whether what was dialled begins with the code that hides the caller's number for this call. A call that
/// [`route`] keeps inside must be hidden too.
pub fn hides_number(company: &Company, dialled: &str) -> bool {
    matches!(code(company, dialled), Some(Ok(Code::Hide(_))))
}

/// What somebody of a company may call, or its flows when there is nobody. Emergency numbers are always among it.
pub fn rights(company: &Company, user: Option<&UserId>) -> Classes {
    let person = user.and_then(|user| company.users.get(user));
    let allow = person.and_then(|person| person.allow).unwrap_or(company.allow);
    let abroad = person.is_some_and(|person| person.international);
    let abroad = if abroad { Classes::INTERNATIONAL } else { Classes::NONE };
    let all = Classes::OPEN.with(allow).with(abroad).without(company.block);
    all.with(Classes::only(PriceClass::Emergency))
}

/// The trunks that a call of a company to `number` takes, tried in order: the first route decides that the number
/// matches and that refuses it or has a trunk for the company.
///
/// # Errors
/// When no route leads there, or the one that does refuses the call.
pub fn outside(
    config: &Config,
    company: &CompanyId,
    number: &Number,
    rights: Classes,
) -> Result<Via, NoRoute> {
    let fits = |route: &&Route| matches(route, number);
    let mut routes = config.routes.iter().filter(fits).map(|route| (route, open_to(config, company, route)));
    let found = routes.find(|(route, via)| route.block || !via.is_empty());
    let (route, via) = found.ok_or(NoRoute::Unknown)?;
    let class = config.server.tariff.class(number);
    let allowed = match route.needs.as_deref() {
        None => true,
        // The right to the class itself, when that is abroad.
        Some("international") => {
            rights.contains(if class < PriceClass::Nordic { PriceClass::World } else { class })
        }
        // A right that this version does not know is a right that nobody has.
        Some(_) => false,
    };
    if route.block || !allowed {
        return Err(NoRoute::Barred { route: route.name.clone() });
    }
    if !rights.contains(class) {
        return Err(NoRoute::NotAllowed { class });
    }
    Ok(via)
}

/// The trunks of a route that a company may use.
fn open_to(config: &Config, company: &CompanyId, route: &Route) -> Via {
    let serves = |id: &&TrunkId| config.trunks.get(*id).is_some_and(|trunk| trunk.serves(company));
    let equal = route.via.iter().map(|equal| equal.iter().filter(serves).cloned().collect::<Vec<_>>());
    equal.filter(|equal| !equal.is_empty()).collect()
}

/// Whole short numbers match exactly, prefixes from the front; a public short number is also one of `+47`.
fn matches(route: &Route, number: &Number) -> bool {
    let short = !number.as_str().starts_with('+') && number::class(number) != Class::Internal;
    let national = short.then(|| format!("+47{number}"));
    let number = number.as_str();
    route.to.iter().map(|to| &**to).any(|to| match to.starts_with('+') {
        true => {
            number.starts_with(to) || national.as_deref().is_some_and(|national| national.starts_with(to))
        }
        false if to.len() <= 3 => number == to,
        false => number.starts_with(to),
    })
}

fn from_user(config: &Config, company: &Company, user: &UserId, dialled: &str) -> Result<Target, NoRoute> {
    if number::is_emergency(dialled) {
        return emergency(config, company, dialled);
    }
    if let Some(star) = star::read(&company.codes, dialled) {
        return Ok(Target::Service { company: company.id.clone(), service: Service::Star(star) });
    }
    if let Some(number) = speed(company, user, dialled) {
        return match number::is_emergency(number.as_str()) {
            true => emergency(config, company, number.as_str()),
            false => inside_or_outside(config, company, user, number.as_str(), false),
        };
    }
    if let Some(code) = code(company, dialled) {
        return match code? {
            Code::Service(service) => Ok(Target::Service { company: company.id.clone(), service }),
            // An emergency call shows its number, whatever was dialled before it.
            Code::Hide(rest) if number::is_emergency(rest) => emergency(config, company, rest),
            Code::Hide(rest) => inside_or_outside(config, company, user, rest, true),
        };
    }
    inside_or_outside(config, company, user, dialled, false)
}

/// The number that a speed dial stands for: the user's own, else the company's.
fn speed<'a>(company: &'a Company, user: &UserId, dialled: &str) -> Option<&'a Number> {
    let digits = dialled.strip_prefix(company.codes.speed.as_deref()?)?;
    let own = company.users.get(user).and_then(|user| user.speed.get(digits));
    own.or_else(|| company.speed.get(digits))
}

/// An extension, a public number of any company, or the outside.
fn inside_or_outside(
    config: &Config,
    company: &Company,
    user: &UserId,
    dialled: &str,
    hide: bool,
) -> Result<Target, NoRoute> {
    let id = company.id.clone();
    match company.extensions.get(dialled) {
        Some(Extension::To(destination)) => {
            return Ok(Target::Inside { company: id, destination: destination.clone() });
        }
        Some(Extension::Toggle(toggle)) => return Ok(Target::Toggle { company: id, toggle: toggle.clone() }),
        None => {}
    }
    if let Some(slot) = company.parking.as_ref().and_then(|parking| parking.slot(dialled)) {
        return Ok(Target::Service { company: id, service: Service::People(Order::Slot(slot)) });
    }
    if let Some(target) = public(config, dialled) {
        return Ok(target);
    }
    let Some(number) = number::read(dialled) else { return Err(unknown(company, dialled)) };
    match outside(config, &company.id, &number, rights(company, Some(user))) {
        Ok(trunks) => Ok(Target::Outside { company: id, number, trunks, emergency: false, hide }),
        Err(NoRoute::Unknown) => Err(unknown(company, dialled)),
        Err(refused) => Err(refused),
    }
}

/// A public number, in whatever form it was dialled or sent.
fn public(config: &Config, dialled: &str) -> Option<Target> {
    let number = number::read(dialled)?;
    if let Some(target) = service_number(config, &number) {
        return Some(target);
    }
    let (company, destination) = config.numbers.get(&number)?;
    Some(Target::Inside { company: company.clone(), destination: destination.clone() })
}

/// A public number by which users serve themselves.
fn service_number(config: &Config, number: &Number) -> Option<Target> {
    let (company, service) = config.services.get(number)?;
    Some(Target::Service { company: company.clone(), service: service_number::service_of(service) })
}

/// A public number as a carrier writes it, of a company that the carrier serves.
fn from_trunk(config: &Config, trunk: Option<&Trunk>, dialled: &str) -> Option<Target> {
    let Some(trunk) = trunk else { return public(config, dialled) };
    let number = trunk.read(dialled)?;
    if let Some((company, _)) = config.services.get(&number) {
        return service_number(config, &number).filter(|_| trunk.serves(company));
    }
    let (company, destination) = config.numbers.get(&number)?;
    let serves = trunk.serves(company);
    serves.then(|| Target::Inside { company: company.clone(), destination: destination.clone() })
}

/// By the emergency routes; without one by any route that leads there, blocked or not, and at last by every trunk:
/// an emergency call is never refused for want of configuration.
fn emergency(config: &Config, company: &Company, dialled: &str) -> Result<Target, NoRoute> {
    let number = Number::new(dialled);
    let fits = |route: &&Route| matches(route, &number) && !route.via.is_empty();
    let mut routes = config.routes.iter().filter(fits);
    let route = routes.clone().find(|route| route.priority).or_else(|| routes.next());
    let open = route.map(|route| open_to(config, &company.id, route)).filter(|via| !via.is_empty());
    let trunks: Via = match (open, route) {
        (Some(open), _) => open,
        // Rather through another company's trunk than not at all.
        (None, Some(route)) => route.via.clone(),
        (None, None) => config.trunks.keys().map(|trunk| vec![trunk.clone()]).collect(),
    };
    if trunks.is_empty() {
        return Err(NoRoute::Unknown);
    }
    Ok(Target::Outside { company: company.id.clone(), number, trunks, emergency: true, hide: false })
}

/// Something that begins with a service code.
enum Code<'a> {
    /// The code does all.
    Service(Service),
    /// This number is called with hidden number.
    Hide(&'a str),
}

/// What a service code needs behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument {
    Never,
    May,
    Must,
}

/// Reads a service code; of several that fit, the longest. `None` when none does.
fn code<'a>(company: &Company, dialled: &'a str) -> Option<Result<Code<'a>, NoRoute>> {
    use Argument::May;
    use Argument::Must;
    use Argument::Never;
    let codes = &company.codes;
    let known = [
        (&codes.login, "login", May),
        (&codes.logout, "logout", May),
        (&codes.pause, "pause", May),
        (&codes.unpause, "unpause", Never),
        (&codes.wrap_up_end, "wrap_up_end", Never),
        (&codes.wrap_up_extend, "wrap_up_extend", Never),
        (&codes.voicemail, "voicemail", May),
        (&codes.toggle, "toggle", Must),
        (&codes.echo, "echo", Never),
        (&codes.own_number, "own_number", Never),
        (&codes.hide_number, "hide_number", Must),
        (&codes.pickup, "pickup", May),
        (&codes.park, "park", May),
        (&codes.intercom, "intercom", Must),
        (&codes.call_back, "call_back", May),
        (&codes.call_back_cancel, "call_back_cancel", May),
        (&codes.take_over, "take_over", Must),
        (&codes.listen, "listen", Must),
        (&codes.whisper, "whisper", Must),
        (&codes.barge, "barge", Must),
        (&codes.own_call, "own_call", Never),
        (&codes.hot_desk, "hot_desk", May),
        (&codes.record_prompt, "record_prompt", Must),
    ];
    let known = known.iter().filter_map(|(code, name, argument)| Some((code.as_deref()?, *name, *argument)));
    let fits = |(code, _, argument): &(&str, &str, Argument)| {
        dialled.strip_prefix(code).is_some_and(|rest| rest.is_empty() || *argument != Never)
    };
    let (code, name, argument) = known.filter(fits).max_by_key(|(code, ..)| code.len())?;
    let rest = &dialled[code.len()..];
    if rest.is_empty() && argument == Must {
        return Some(Err(NoRoute::Incomplete));
    }
    Some(match name {
        "hide_number" => Ok(Code::Hide(rest)),
        name => service(company, name, rest).map(Code::Service).ok_or_else(|| unknown(company, rest)),
    })
}

/// The service of a code; its argument is an extension.
fn service(company: &Company, name: &str, ext: &str) -> Option<Service> {
    let to = company.extensions.get(ext);
    let line = || match to {
        _ if ext.is_empty() => Some(None),
        Some(Extension::To(Destination::Queue(id))) => Some(Some(LineId::Queue(id.clone()))),
        Some(Extension::To(Destination::Group(id))) => Some(Some(LineId::Group(id.clone()))),
        _ => None,
    };
    match name {
        "login" => Some(Service::Login(line()?)),
        "logout" => Some(Service::Logout(line()?)),
        "pause" => Some(Service::Pause(PauseCode::read(ext))),
        "unpause" => Some(Service::Unpause),
        "wrap_up_end" => Some(Service::WrapUpEnd),
        "wrap_up_extend" => Some(Service::WrapUpExtend),
        "echo" => Some(Service::Echo),
        "own_number" => Some(Service::OwnNumber),
        "voicemail" => match to {
            _ if ext.is_empty() => Some(Service::Voicemail(None)),
            Some(Extension::To(Destination::Voicemail(id))) => Some(Service::Voicemail(Some(id.clone()))),
            Some(Extension::To(Destination::User(user))) => {
                Some(Service::Voicemail(Some(mailbox::of_user(user))))
            }
            _ => None,
        },
        "toggle" => match to {
            Some(Extension::Toggle(toggle)) => Some(Service::Toggle(toggle.clone())),
            // `*50580*2`, `*50580*1630`: on for so long.
            _ => {
                let (ext, until) = ext.split_once('*')?;
                let Some(Extension::Toggle(toggle)) = company.extensions.get(ext) else { return None };
                Some(Service::ToggleUntil(toggle.clone(), until.trim_end_matches('#').into()))
            }
        },
        _ => people::order(company, name, ext).map(Service::People),
    }
}

/// Incomplete when an extension or code begins with what was dialled, else unknown.
fn unknown(company: &Company, dialled: &str) -> NoRoute {
    let begins = |whole: &str| whole.len() > dialled.len() && whole.starts_with(dialled);
    let codes = &company.codes;
    let each = [
        &codes.login,
        &codes.logout,
        &codes.pause,
        &codes.unpause,
        &codes.wrap_up_end,
        &codes.wrap_up_extend,
        &codes.voicemail,
        &codes.toggle,
        &codes.echo,
        &codes.own_number,
        &codes.hide_number,
        &codes.pickup,
        &codes.park,
        &codes.intercom,
        &codes.call_back,
        &codes.call_back_cancel,
        &codes.take_over,
        &codes.listen,
        &codes.whisper,
        &codes.barge,
        &codes.own_call,
        &codes.hot_desk,
        &codes.record_prompt,
    ];
    let code = each.into_iter().flatten().any(|code| begins(code)) || star::begins(codes, dialled);
    let slots = company.parking.iter().flat_map(|parking| parking.first..=parking.last);
    let slot = || slots.into_iter().any(|slot| begins(&slot.to_string()));
    if code || slot() || company.extensions.keys().any(|ext| begins(ext.as_str())) {
        NoRoute::Incomplete
    } else {
        NoRoute::Unknown
    }
}
