//! Two real telephones (baresip) call each other through the daemon; what each hears is measured.

use std::fs;
use std::time::Duration;

use crate::daemon::Site;
use crate::daemon::phone::Phone;
use crate::daemon::phone::RATE;
use crate::daemon::phone::recording;
use crate::daemon::phone::samples;
use crate::daemon::tone::level_db;
use crate::daemon::tone::pitch;
use crate::daemon::wait_until;

/// How long they talk.
const TALK_S: usize = 6;
/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn two_phones_hear_each_other_clearly() {
    talk(&Site::new(), "", "");
}

/// One demands SRTP, the other is offered nothing else: each has keys of its own with the exchange, in two suites.
#[test]
fn two_phones_with_srtp_hear_each_other_clearly() {
    let site = Site::new();
    let company = site.folder().join("config/companies");
    for file in fs::read_dir(company).expect("the site has companies") {
        let path = file.expect("our own folder").path();
        let text = fs::read_to_string(&path).expect("our own file");
        let required = text.replace("bo-hemmelig\"", "bo-hemmelig\", srtp = \"required\"");
        assert_ne!(required, text);
        fs::write(&path, required).expect("room on the disk");
    }
    talk(&site, ";mediaenc=srtp-mand", ";mediaenc=srtp-mand");
    let log = fs::read_to_string(site.folder().join("anna/output")).expect("the phone wrote it");
    assert!(log.contains("SRTP is Enabled"), "the phone says so: {log}");
}

/// One talks nothing but Opus, the other nothing but A-law: the exchange hears each and says it anew to the other.
#[test]
fn a_phone_with_opus_and_one_with_g711_hear_each_other_clearly() {
    let site = Site::new();
    let server = site.folder().join("config/server.toml");
    let text = fs::read_to_string(&server).expect("our own file");
    let with_opus = text.replace("codecs = [\"pcma\"", "codecs = [\"opus\", \"pcma\"");
    assert_ne!(with_opus, text);
    fs::write(&server, with_opus).expect("room on the disk");
    talk(&site, ";audio_codecs=opus/48000/2", "");
}

fn talk(site: &Site, of_anna: &str, of_bo: &str) {
    let daemon = site.start();
    let mut anna = Phone::start(site, "anna", 440, &format!(";answermode=auto{of_anna}"));
    let bo = Phone::start(site, "bo", 1000, &format!(";answermode=auto{of_bo}"));
    let registered = || (site.ask(&["status"])?["bindings"] == 2).then_some(());
    wait_until("both phones are registered", PATIENCE, registered);

    anna.order("dial", "102");
    let enough = (TALK_S * RATE as usize * 2) as u64;
    let talked = |phone: &Phone| {
        fs::metadata(recording(phone, "dec")?).is_ok_and(|file| file.len() > enough).then_some(())
    };
    wait_until("they have talked long enough", PATIENCE, || talked(&anna).and(talked(&bo)));
    anna.order("hangup", "");
    wait_until("the call is over", PATIENCE, || {
        let calls = site.ask(&["cdr"]).expect("the daemon answers");
        (calls[0]["result"] == "answered" && calls[0]["answered_by"] == "bo").then_some(())
    });

    for (ear, mouth, hz) in [(&anna, &bo, 1000.0), (&bo, &anna, 440.0)] {
        let (heard, rate) = steady(ear, "dec");
        let (said, said_rate) = steady(mouth, "enc");
        let (tone, level, source) =
            (pitch(&heard, rate), level_db(&heard, rate, hz), level_db(&said, said_rate, hz));
        let lost = silent_frames(&heard, rate);
        println!(
            "{} hears {tone:.1} Hz at {level:.1} dB (said at {source:.1} dB), {lost} frames lost",
            ear.name
        );
        assert!((tone - hz).abs() < 5.0, "{} hears {tone} Hz instead of {hz}", ear.name);
        assert!((level - source).abs() < 3.0, "{} hears {level} dB, said were {source} dB", ear.name);
        assert!(lost <= 1, "{} has lost {lost} of {} frames", ear.name, heard.len() * 50 / rate as usize);
    }
    drop((anna, bo));
    daemon.end();
}

/// Four seconds of a recording, when both have long been connected, and their rate.
fn steady(phone: &Phone, which: &str) -> (Vec<i16>, u32) {
    let (samples, rate) = samples(phone, which);
    let second = rate as usize;
    (samples[second..5 * second].to_vec(), rate)
}

/// How many 20 ms in a row or apart hold next to nothing.
fn silent_frames(samples: &[i16], rate: u32) -> usize {
    let peak = |samples: &[i16]| samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let loud = peak(samples);
    samples.chunks_exact(rate as usize / 50).filter(|frame| peak(frame) < loud / 4).count()
}
