//! A call from outside that is sent on to a mobile by a real daemon: whose number the carrier is shown, and what happens
//! when it will not have it.

use std::fs;
use std::time::Duration;

use crate::daemon::Site;
use crate::daemon::line::Line;
use crate::daemon::line::header;

const PATIENCE: Duration = Duration::from_secs(10);
const CALLER: &str = "+4790000001";
const EVA: &str = "+4736000105";
const MOBILE: &str = "+4790000205";

/// The test company with Eva, all of whose calls go to her mobile, and the carrier at this line.
fn site(carrier: impl Fn(&Site) -> Line) -> (Site, Line) {
    let site = Site::new();
    let line = carrier(&site);
    let edit = |name: &str, change: &dyn Fn(&str) -> String| {
        let file = site.folder().join("config").join(name);
        let text = fs::read_to_string(&file).expect("it was written");
        fs::write(&file, change(&text)).expect("room on the disk");
    };
    edit("trunks.toml", &|text| {
        text.replace("127.0.0.2:5060", &line.address.to_string())
            + "\n[routes]\nnorge = { to = [\"+47\"], via = [\"linje\"] }\n"
    });
    edit("companies/prove.toml", &|text| {
        let eva =
            format!("eva = {{ name = \"Eva\", number = \"{EVA}\", forward_always = \"phone:{MOBILE}\" }}");
        text.replace("[users]\n", &format!("[users]\n{eva}\n"))
    });
    (site, line)
}

/// What the carrier sends as the caller.
fn caller(line: &Line, method: &str, branch: &str, cseq: u32, to: &str, body: &str) {
    let own = line.address;
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    line.send(&format!(
        "{method} sip:{EVA}@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-forward-{branch}\nMax-Forwards: 70\n\
         From: <sip:{CALLER}@127.0.0.2>;tag=c\nTo: {to}\nCall-ID: forward\nCSeq: {cseq} {method}\n\
         Contact: <sip:carrier@{own}>\n{kind}Content-Length: {}\n\n{body}",
        body.len() + body.lines().count(),
    ));
}

/// What the carrier answers.
fn answer(line: &Line, request: &str, status: &str, body: &str) {
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| {
        let value = header(request, name);
        let tag = if name == "To" && !value.contains(";tag=") { ";tag=m" } else { "" };
        format!("{name}: {value}{tag}\n")
    });
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    line.send(&format!(
        "SIP/2.0 {status}\n{}Contact: <sip:mobile@{}>\n{kind}Content-Length: {}\n\n{body}",
        copied.concat(),
        line.address,
        body.len() + body.lines().count(),
    ));
}

/// The next message that begins so; what comes before it is passed over.
fn next(line: &Line, begins: &str, cseq: &str) -> String {
    loop {
        let message = line.receive(PATIENCE).unwrap_or_else(|| panic!("no {begins} for {cseq}"));
        if message.starts_with(begins) && header(&message, "CSeq").ends_with(cseq) {
            return message;
        }
    }
}

#[test]
fn a_mobile_is_shown_the_callers_number_with_diversion_and_ours_when_the_carrier_refuses_it() {
    let (site, line) = site(|site| Line::new([127, 0, 0, 2], site.sip));
    let daemon = site.start_mute();
    let ip = line.address.ip();
    let sdp = format!("v=0\no=- 1 1 IN IP4 {ip}\ns=-\nc=IN IP4 {ip}\nt=0 0\nm=audio 9 RTP/AVP 8\n");
    let to = format!("<sip:{EVA}@127.0.0.1>");
    caller(&line, "INVITE", "invite", 1, &to, &sdp);
    let first = next(&line, "INVITE ", "INVITE");
    assert!(first.starts_with(&format!("INVITE sip:{MOBILE}@")), "{first}");
    assert!(header(&first, "From").contains(CALLER), "{first}");
    assert!(header(&first, "Diversion").contains(EVA), "{first}");
    answer(&line, &first, "403 Forbidden", "");
    let second = next(&line, "INVITE ", "INVITE");
    assert!(second.starts_with(&format!("INVITE sip:{MOBILE}@")), "{second}");
    assert!(header(&second, "From").contains(EVA) && !header(&second, "From").contains(CALLER), "{second}");
    assert!(header(&second, "Diversion").contains(EVA), "{second}");
    answer(&line, &second, "180 Ringing", "");
    answer(&line, &second, "200 OK", &sdp);
    let ok = next(&line, "SIP/2.0 200", "1 INVITE");
    let to = header(&ok, "To").to_owned();
    caller(&line, "ACK", "ack", 1, &to, "");
    caller(&line, "BYE", "bye", 2, &to, "");
    let bye = next(&line, "BYE ", "BYE");
    answer(&line, &bye, "200 OK", "");
    daemon.end();
}
