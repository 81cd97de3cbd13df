//! Registration as modern phones do it: flows (RFC 5626), GRUUs (RFC 5627), and what the answer tells.

use std::sync::Arc;
use std::time::Duration;

use sentral::sip;
use sentral::sip::ConnectionId;
use sentral::sip::Hop;
use sentral::sip::Method;
use sentral::sip::Transport;
use sentral::sip::Uri;
use sentral::sip::endpoint::Credentials;
use sentral::sip::endpoint::OutOfDialog;
use sentral::sip::header::NameAddr;
use sentral::switch::Input;

use crate::phone::Answer;
use crate::phone::Phone;
use crate::phone::Stage;
use crate::world::COMPANY;
use crate::world::World;
use crate::world::config;
use crate::world::noon;

const S: Duration = Duration::from_secs(1);
const DESK: &str = "<urn:uuid:00000000-0000-1000-8000-000a95a0e128>";
const SOFT: &str = "<urn:uuid:00000000-0000-1000-8000-000a95a0e129>";

/// One REGISTER of a phone.
struct Register<'a> {
    contact: String,
    supported: &'a str,
    call_id: &'a str,
    cseq: u32,
}

impl Register<'_> {
    /// Of a flow, or with no `reg_id` of a contact of the instance.
    fn flow(phone: &Phone, instance: &str, reg_id: u32) -> Register<'static> {
        let reg_id = if reg_id > 0 { format!(";reg-id={reg_id}") } else { String::new() };
        let contact =
            format!("<sip:{}@{};ob>{reg_id};+sip.instance=\"{instance}\"", phone.name, phone.address);
        Register { contact, supported: "path, outbound, gruu", call_id: "first", cseq: 1 }
    }
}

fn register(world: &mut World, phone: usize, what: &Register<'_>) -> u16 {
    let now = world.now;
    let of = &mut world.phones[phone];
    let transport = if of.connection.is_some() { Transport::Tcp } else { Transport::Udp };
    let hop = Hop { transport, local: of.address, remote: of.server, connection: of.connection };
    let me = NameAddr::new(Uri::parse(&format!("sip:{}@{}", of.name, of.domain)).unwrap());
    let mut extra = vec![("Supported", what.supported.to_owned()), ("Expires", "3600".to_owned())];
    if !what.contact.is_empty() {
        extra.push(("Contact", what.contact.clone()));
    }
    of.registered = None;
    let ask = OutOfDialog {
        method: Method::Register,
        uri: Uri::parse(&format!("sip:{}", of.domain)).unwrap(),
        hop,
        route: Vec::new(),
        from: me.clone(),
        to: me,
        call_id: Some(format!("{}-{}", what.call_id, of.address)),
        // A challenge takes one number more.
        cseq: Some(what.cseq * 10),
        extra,
        body: None,
        credentials: Some(Credentials { user: of.name.clone(), password: format!("{}-secret", of.name) }),
        contact_user: None,
    };
    of.endpoint.request(now, ask);
    of.timeout(now);
    world.run(S);
    world.phones[phone].registered.expect("the REGISTER is answered")
}

fn header(phone: &Phone, name: &str) -> Vec<String> {
    phone.granted.iter().filter(|(of, _)| of == name).map(|(_, value)| value.clone()).collect()
}

/// A parameter of the first Contact of the answer.
fn granted(phone: &Phone, param: &str) -> String {
    let contact = NameAddr::parse(&header(phone, "Contact")[0]).unwrap();
    contact.param(param).unwrap_or_else(|| panic!("{param} in {contact}")).to_owned()
}

/// Two phones that are two flows of one: the second registered last.
fn two_flows(world: &mut World) -> [usize; 2] {
    let flows = [world.phone("kari"), world.phone("kari")];
    for (index, flow) in flows.into_iter().enumerate() {
        let what = Register::flow(&world.phones[flow], DESK, 1 + index as u32);
        assert_eq!(register(world, flow, &what), 200);
        world.phones[flow].answer = Answer::Ring;
    }
    flows
}

fn ringing(world: &World, phone: usize) -> bool {
    world.phones[phone].line(&Stage::Ringing).is_some()
}

#[test]
fn a_flow_is_named_by_instance_and_reg_id_and_renewed_from_another_contact() {
    let mut world = World::new(101);
    let kari = world.phone("kari");
    let mut what = Register::flow(&world.phones[kari], DESK, 1);
    assert_eq!(register(&mut world, kari, &what), 200);
    let phone = &world.phones[kari];
    assert_eq!(header(phone, "Require"), ["outbound"]);
    assert_eq!(header(phone, "Flow-Timer"), ["29"]);
    assert_eq!((granted(phone, "reg-id"), granted(phone, "+sip.instance")), ("1".into(), DESK.into()));
    assert!(granted(phone, "expires").parse::<u32>().unwrap() > 3_590);
    assert_eq!(header(phone, "Date"), ["Mon, 23 Nov 2026 11:00:00 GMT"]);
    // The same phone after a restart: another contact, another Call-ID.
    what.contact = what.contact.replace("kari@", "kari-again@");
    what.call_id = "second";
    assert_eq!(register(&mut world, kari, &what), 200);
    let contacts = header(&world.phones[kari], "Contact");
    assert!(contacts.len() == 1 && contacts[0].contains("kari-again@"), "{contacts:?}");
    // Without the extension it is a contact like any other, and not answered as a flow.
    what.contact = what.contact.replace("kari-again@", "plain@").replace(";reg-id=1", "").replace(DESK, SOFT);
    what.supported = "";
    assert_eq!(register(&mut world, kari, &what), 200, "a contact beside the flow");
    let phone = &world.phones[kari];
    assert_eq!(header(phone, "Contact").len(), 2);
    assert!(header(phone, "Require").is_empty() && header(phone, "Flow-Timer").is_empty());
    world.finish();
}

#[test]
fn one_register_makes_one_flow_at_most() {
    let mut world = World::new(102);
    let kari = world.phone("kari");
    let mut what = Register::flow(&world.phones[kari], DESK, 1);
    what.contact = format!("{}, <sip:other@192.0.2.7>", what.contact);
    assert_eq!(register(&mut world, kari, &what), 400);
    what.contact = format!("{};expires=0", what.contact);
    what.cseq = 2;
    assert_eq!(register(&mut world, kari, &what), 200, "but it may remove others");
    world.finish();
}

#[test]
fn a_phone_with_two_flows_rings_once_and_along_the_other_when_its_proxy_says_that_the_flow_failed() {
    let mut world = World::new(103);
    let ola = world.registered("ola");
    let [old, new] = two_flows(&mut world);
    let call = world.phones[ola].call(world.now, "101", false);
    world.run(S);
    assert!(ringing(&world, new) && !ringing(&world, old));
    world.phones[ola].cancel(world.now, call);
    world.run(S);
    world.phones[new].answer = Answer::Refuse(430);
    world.phones[old].answer = Answer::After(S);
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    let refused = world.phones[new].lines.len();
    world.phones[ola].hang_up(world.now, call);
    world.run(S);
    // The flow is forgotten: the next call does not try it.
    let call = world.phones[ola].call(world.now, "101", false);
    world.until("they talk", 5 * S, |w| w.phones[ola].lines[&call].stage == Stage::Up);
    assert_eq!(world.phones[new].lines.len(), refused);
    world.finish();
}

#[test]
fn what_the_phone_itself_answers_along_one_flow_is_its_answer() {
    let mut world = World::new(104);
    let ola = world.registered("ola");
    let [old, new] = two_flows(&mut world);
    for status in [486, 503, 480] {
        world.phones[new].answer = Answer::Refuse(status);
        let call = world.phones[ola].call(world.now, "101", false);
        world.run(2 * S);
        assert!(world.phones[old].lines.is_empty(), "{status} is final");
        assert!(matches!(world.phones[ola].lines[&call].stage, Stage::Over(_)));
    }
    world.finish();
}

#[test]
fn a_call_moves_to_the_other_flow_when_a_connection_is_lost() {
    let mut world = World::new(105);
    let ola = world.registered("ola");
    let [old, new] = [world.phone("kari"), world.phone("kari")];
    world.phones[new].connection = Some(ConnectionId(7));
    for (flow, reg_id) in [(old, 1), (new, 2)] {
        let what = Register::flow(&world.phones[flow], DESK, reg_id);
        assert_eq!(register(&mut world, flow, &what), 200);
        world.phones[flow].answer = Answer::Ring;
    }
    assert_eq!(header(&world.phones[new], "Flow-Timer"), ["120"]);
    world.phones[ola].call(world.now, "101", false);
    world.run(S);
    assert!(ringing(&world, new) && !ringing(&world, old));
    world.input(Input::Sip(sip::Input::Closed { connection: ConnectionId(7) }));
    world.run(S);
    assert!(ringing(&world, old));
    // What rang on the lost connection can be told nothing.
    world.phones.remove(new);
    world.finish();
}

#[test]
fn flows_are_known_after_a_restart() {
    let mut world = World::new(106);
    let ola = world.registered("ola");
    let [old, new] = two_flows(&mut world);
    world.restart(config(COMPANY));
    world.phones[ola].call(world.now, "101", false);
    world.run(S);
    assert!(ringing(&world, new) && !ringing(&world, old), "still one phone");
    world.finish();
}

#[test]
fn a_gruu_reaches_one_phone_of_a_device_and_no_other() {
    let mut world = World::new(107);
    let ola = world.registered("ola");
    let [desk, soft] = [world.phone("kari"), world.phone("kari")];
    for (phone, instance) in [(desk, DESK), (soft, SOFT)] {
        let what = Register::flow(&world.phones[phone], instance, 0);
        assert_eq!(register(&mut world, phone, &what), 200);
        world.phones[phone].answer = Answer::Ring;
    }
    let of_desk = |param| {
        let mut contacts = header(&world.phones[soft], "Contact").into_iter();
        let contact = contacts.find(|contact| contact.contains(DESK)).unwrap();
        NameAddr::parse(&contact).unwrap().param(param).unwrap().to_owned()
    };
    let [public, temporary] = ["pub-gruu", "temp-gruu"].map(of_desk);
    assert!(public.contains("kari@prove.example;gr=urn:uuid:") && !temporary.contains("kari"), "{temporary}");
    for gruu in [public, temporary] {
        let call = world.phones[ola].call_uri(world.now, Uri::parse(&gruu).unwrap(), false);
        world.run(S);
        assert!(ringing(&world, desk) && !ringing(&world, soft), "{gruu}");
        world.phones[ola].cancel(world.now, call);
        world.run(S);
    }
    // Nothing follows when the phone refuses, though its user has voicemail.
    world.phones[desk].answer = Answer::Refuse(480);
    let public = Uri::parse(&of_public(&world.phones[desk])).unwrap();
    let call = world.phones[ola].call_uri(world.now, public, false);
    world.run(S);
    assert_eq!(world.phones[ola].lines[&call].stage, Stage::Over(480));
    world.finish();
}

fn of_public(phone: &Phone) -> String {
    granted(phone, "pub-gruu")
}

#[test]
fn temporary_gruus_add_up_until_the_call_id_changes_and_public_ones_stay() {
    let mut world = World::new(108);
    let ola = world.registered("ola");
    let kari = world.phone("kari");
    world.phones[kari].answer = Answer::Ring;
    let mut what = Register::flow(&world.phones[kari], DESK, 1);
    let mut temporary = Vec::new();
    for cseq in 1..4 {
        what.cseq = cseq;
        assert_eq!(register(&mut world, kari, &what), 200);
        temporary.push(granted(&world.phones[kari], "temp-gruu"));
    }
    temporary.sort();
    temporary.dedup();
    assert_eq!(temporary.len(), 3);
    for gruu in &temporary {
        assert_eq!(called(&mut world, ola, gruu), 487, "{gruu} rings");
    }
    let forged = temporary[0].replacen("tgruu.0", "tgruu.1", 1).replacen("tgruu.f", "tgruu.e", 1);
    let forged = if forged == temporary[0] { forged.replacen("tgruu.", "tgruu.x", 1) } else { forged };
    assert_eq!(called(&mut world, ola, &forged), 404);
    let public = of_public(&world.phones[kari]);
    what.call_id = "second";
    assert_eq!(register(&mut world, kari, &what), 200);
    for gruu in &temporary {
        assert_eq!(called(&mut world, ola, gruu), 404, "{gruu} is over");
    }
    let fresh = granted(&world.phones[kari], "temp-gruu");
    assert_eq!(called(&mut world, ola, &fresh), 487);
    what.cseq = 9;
    what.contact = format!("{};expires=0", what.contact);
    assert_eq!(register(&mut world, kari, &what), 200);
    assert!(header(&world.phones[kari], "Contact").is_empty());
    assert_eq!(called(&mut world, ola, &fresh), 404);
    assert_eq!(called(&mut world, ola, &public), 480, "the phone is away");
    // A stranger's: no device has this name.
    assert_eq!(called(&mut world, ola, "sip:nobody@prove.example;gr=urn:uuid:1"), 404);
    world.finish();
}

/// Calls a GRUU for a moment: 487 when something rings.
fn called(world: &mut World, caller: usize, gruu: &str) -> u16 {
    let call = world.phones[caller].call_uri(world.now, Uri::parse(gruu).unwrap(), false);
    world.run(S);
    world.phones[caller].cancel(world.now, call);
    world.run(S);
    match world.phones[caller].lines[&call].stage {
        Stage::Over(status) => status,
        ref stage => panic!("{stage:?}"),
    }
}

#[test]
fn a_register_that_comes_late_changes_nothing_at_all() {
    let mut world = World::new(109);
    let kari = world.phone("kari");
    let at = |user: &str| format!("<sip:{user}@192.0.2.77>;q=0.5");
    let mut what = Register { contact: at("a"), supported: "", call_id: "one", cseq: 5 };
    assert_eq!(register(&mut world, kari, &what), 200);
    // One of the two is older than what is known: neither is bound.
    what.contact = format!("{}, {}", at("b"), at("a"));
    what.cseq = 4;
    assert_eq!(register(&mut world, kari, &what), 500);
    let mut fetch = Register { contact: String::new(), supported: "", call_id: "two", cseq: 1 };
    assert_eq!(register(&mut world, kari, &fetch), 200);
    let contacts = header(&world.phones[kari], "Contact");
    assert!(contacts.len() == 1 && contacts[0].starts_with("<sip:a@192.0.2.77>"), "{contacts:?}");
    assert_eq!(granted(&world.phones[kari], "q"), "0.500");
    // RFC 3261 §19.1.4: letter case of the host and order of parameters make no other contact.
    fetch.contact = "<sip:a@192.0.2.77;x=1>".into();
    fetch.cseq = 2;
    assert_eq!(register(&mut world, kari, &fetch), 200);
    assert_eq!(header(&world.phones[kari], "Contact").len(), 1);
    // What would lead back to itself is not bound.
    fetch.contact = "<sip:kari@Prove.example>".into();
    fetch.cseq = 3;
    assert_eq!(register(&mut world, kari, &fetch), 403);
    world.finish();
}

#[test]
fn the_answer_names_the_proxies_that_requests_shall_take() {
    let mut changed = (*config(COMPANY)).clone();
    changed.server.service_route = vec!["sip:p1.example;lr".into(), "sip:p2.example;lr".into()];
    let mut world = World::at(110, noon(), Arc::new(changed));
    let kari = world.phone("kari");
    let what = Register::flow(&world.phones[kari], DESK, 1);
    assert_eq!(register(&mut world, kari, &what), 200);
    let routes = header(&world.phones[kari], "Service-Route");
    assert_eq!(routes, ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]);
    world.finish();
}
