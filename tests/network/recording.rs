//! Recording of calls by a real daemon: two telephones with a tone each, and what of them is in the file.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::daemon::Daemon;
use crate::daemon::Site;
use crate::daemon::phone::Phone;
use crate::daemon::tone::level_db;
use crate::daemon::tone::pitch;
use crate::daemon::wait_until;

const PATIENCE: Duration = Duration::from_secs(30);

/// A site whose calls are all recorded.
fn site(form: &str) -> Site {
    let site = Site::new();
    let file = site.folder().join("config/companies/prove.toml");
    let text = fs::read_to_string(&file).expect("our own file");
    let settings = format!("\n[recordings]\nannounce = false\nformat = \"{form}\"\n");
    let text = text.replacen("[company]\n", "[company]\nrecord = \"all\"\n", 1) + &settings;
    fs::write(&file, text).expect("room on the disk");
    site
}

/// Anna says 440 Hz and calls Bo, who says 1000; both talk when this returns.
fn talk(site: &Site) -> (Phone, Phone) {
    let mut anna = Phone::start(site, "anna", 440, ";answermode=auto");
    let bo = Phone::start(site, "bo", 1000, ";answermode=auto");
    wait_until("both are registered", PATIENCE, || (site.ask(&["status"])?["bindings"] == 2).then_some(()));
    anna.order("dial", "102");
    wait_until("they are recorded", PATIENCE, || {
        let calls = site.ask(&["calls"])?;
        (calls["calls"][0]["recording"] == "on").then_some(())
    });
    (anna, bo)
}

/// The files of all recordings, the first first.
fn files(site: &Site) -> Vec<PathBuf> {
    let all = site.ask(&["recordings"]).expect("the daemon answers");
    let mut files: Vec<PathBuf> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|recording| site.folder().join("data").join(recording["file"].as_str().expect("a text")))
        .collect();
    files.reverse();
    files
}

fn wait_for_bytes(file: &Path, bytes: u64) {
    let enough = || fs::metadata(file).is_ok_and(|file| file.len() > bytes).then_some(());
    wait_until("enough is recorded", PATIENCE, enough);
}

/// Both channels and the rate of a file, by readers that are not ours.
fn read(file: &Path) -> (Vec<i16>, Vec<i16>, u32) {
    let wav = match file.extension().and_then(|extension| extension.to_str()) {
        Some("opus") => {
            let wav = file.with_extension("decoded.wav");
            let decoded = Command::new("opusdec").arg("--quiet").arg(file).arg(&wav).output();
            let decoded = decoded.expect("opusdec is installed (package opus-tools)");
            assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
            wav
        }
        _ => file.to_owned(),
    };
    let mut reader = hound::WavReader::open(&wav).expect("a WAV file");
    assert_eq!(reader.spec().channels, 2);
    let rate = reader.spec().sample_rate;
    let samples: Vec<i16> = reader.samples().map(|sample| sample.expect("whole")).collect();
    let side = |at: usize| samples.iter().skip(at).step_by(2).copied().collect();
    (side(0), side(1), rate)
}

/// A second of a side holds this tone, as loud as the phones say it, and next to nothing of the other.
fn assert_tone(side: &[i16], rate: u32, second: usize, hz: f64, other: f64) {
    let rate_of = rate as usize;
    let heard = &side[second * rate_of..(second + 1) * rate_of];
    let (tone, level, leak) = (pitch(heard, rate), level_db(heard, rate, hz), level_db(heard, rate, other));
    println!("second {second}: {tone:.1} Hz at {level:.1} dB, the other side's at {leak:.1} dB");
    assert!((tone - hz).abs() < 5.0, "{tone} Hz instead of {hz} in second {second}");
    assert!(level > -30.0 && leak < level - 25.0, "{level} dB, and the other side {leak} dB");
}

#[test]
fn each_side_is_in_its_channel_and_goes_along_with_an_attended_transfer() {
    let site = site("wav");
    let daemon = site.start();
    let (mut anna, bo) = talk(&site);
    let dagny = Phone::start(&site, "dagny", 700, ";answermode=auto");
    wait_until("all are registered", PATIENCE, || (site.ask(&["status"])?["bindings"] == 3).then_some(()));
    let first = site.ask(&["calls"]).expect("the daemon answers")["calls"][0]["id"].clone();
    let first = first.as_str().expect("a text").to_owned();
    let [file] = &files(&site)[..] else { panic!("one recording") };
    wait_for_bytes(file, 44 + 4 * 32_000);
    // Bo asks Dagny, and joins the two.
    site.ask(&["board", "dial", "prove", "bo", "104"]).expect("Bo is rung, then Dagny");
    wait_until("Bo talks with Dagny", PATIENCE, || {
        let calls = site.ask(&["calls"])?;
        let talking = calls["calls"].as_array()?.iter().filter(|call| call["recording"] == "on").count();
        (talking == 2).then_some(())
    });
    site.ask(&["board", "transfer", "prove", "bo", "--with", &first]).expect("joined");
    wait_until("only one call is left", PATIENCE, || {
        (site.ask(&["calls"])?["calls"].as_array()?.len() == 1).then_some(())
    });
    let before = fs::metadata(file).expect("there").len();
    wait_for_bytes(file, before + 5 * 32_000);
    anna.order("hangup", "");
    let recordings = wait_until("the files are complete", PATIENCE, || {
        let all = site.ask(&["recordings"])?;
        all.as_array()?.iter().all(|recording| !recording["length_ms"].is_null()).then_some(all)
    });
    let (left, right, rate) = read(file);
    assert_eq!((left.len(), rate), (right.len(), 8000));
    let last = left.len() / 8000 - 2;
    assert_tone(&left, rate, 2, 440.0, 1000.0);
    assert_tone(&right, rate, 2, 1000.0, 440.0);
    assert_tone(&left, rate, last, 440.0, 700.0);
    assert_tone(&right, rate, last, 700.0, 440.0);
    let told = recordings
        .as_array()
        .expect("a list")
        .iter()
        .find(|recording| file.ends_with(recording["file"].as_str().expect("a text")));
    let told = told.expect("listed")["length_ms"].as_u64().expect("a number");
    assert!(told.abs_diff(left.len() as u64 / 8) < 100, "{told} ms told, {} in the file", left.len() / 8);
    let named = |record: &serde_json::Value| {
        record["recordings"]
            .as_array()
            .is_some_and(|files| files.iter().any(|name| file.ends_with(name.as_str().unwrap_or_default())))
    };
    let records = site.ask(&["cdr"]).expect("the daemon answers");
    assert!(
        records.as_array().expect("a list").iter().filter(|record| named(record)).count() == 1,
        "{records}"
    );

    let id = recordings[0]["id"].as_str().expect("a text");
    let gone = site.folder().join("data").join(recordings[0]["file"].as_str().expect("a text"));
    assert!(gone.is_file());
    site.ask(&["recordings", "delete", id]).expect("deleted");
    wait_until("the file is gone", PATIENCE, || (!gone.exists()).then_some(()));
    assert!(site.ask(&["recordings", "path", id]).is_none(), "and so is the recording");
    drop((anna, bo, dagny));
    daemon.end();
}

#[test]
fn a_daemon_that_is_killed_leaves_files_that_can_be_read() {
    for (form, bytes) in [("wav", 44 + 5 * 32_000), ("opus", 16_000)] {
        let site = site(form);
        let mut daemon = site.start();
        let (anna, bo) = talk(&site);
        let [file] = &files(&site)[..] else { panic!("one recording") };
        wait_for_bytes(file, bytes);
        daemon.process.kill().expect("it runs");
        daemon.process.wait().expect("our own child");
        drop((daemon, anna, bo));
        let (left, right, rate) = read(file);
        let seconds = left.len() / rate as usize;
        println!("{form}: {seconds} s are left, {} bytes", fs::metadata(file).expect("there").len());
        assert!(seconds >= 3, "{form}: {seconds} s");
        assert_tone(&left, rate, 1, 440.0, 1000.0);
        assert_tone(&right, rate, 1, 1000.0, 440.0);
        let daemon = site.start();
        let listed = site.ask(&["recordings"]).expect("the daemon answers");
        let told = listed[0]["length_ms"].as_u64().expect("as long as its file");
        let in_file = left.len() as u64 * 1000 / u64::from(rate);
        assert!(told.abs_diff(in_file) < 50, "{told} ms told, {in_file} in the file");
        daemon.end();
    }
}

#[test]
fn a_full_disk_is_an_alarm_and_the_call_goes_on() {
    let site = site("wav");
    let daemon = site.start();
    let (mut anna, bo) = talk(&site);
    let [file] = &files(&site)[..] else { panic!("one recording") };
    wait_for_bytes(file, 2 * 32_000);
    limit(&daemon, "100000:unlimited");
    wait_until("somebody is told", PATIENCE, || {
        let status = site.ask(&["status"])?;
        let alarms = status["alarms"].as_array()?;
        alarms
            .iter()
            .any(|alarm| alarm.as_str().is_some_and(|alarm| alarm.contains("recording")))
            .then_some(())
    });
    let calls = site.ask(&["calls"]).expect("the daemon answers");
    assert_eq!(calls["calls"][0]["state"], "talking", "{calls}");
    let before = fs::metadata(file).expect("there").len();
    limit(&daemon, "unlimited:unlimited");
    // It goes on by itself, and what was said meanwhile is silence.
    wait_for_bytes(file, before + 5 * 32_000);
    anna.order("hangup", "");
    let record = wait_until("the call is over", PATIENCE, || {
        let record = site.ask(&["cdr"])?[0].clone();
        (record["result"] == "answered").then_some(record)
    });
    let trouble = record["recording_trouble"].as_str().expect("the record says so");
    assert!(trouble.contains("cannot write the recording") && trouble.contains("s are silence"), "{trouble}");
    let (left, right, rate) = read(file);
    let last = left.len() / rate as usize - 2;
    for second in [0, last] {
        assert_tone(&left, rate, second, 440.0, 1000.0);
        assert_tone(&right, rate, second, 1000.0, 440.0);
    }
    let talk_s = record["talk_ms"].as_u64().expect("a number") / 1000;
    assert!((left.len() as u64 / u64::from(rate)).abs_diff(talk_s) <= 2, "the file is as long as the talk");
    drop((anna, bo));
    daemon.end();
}

/// Files of the daemon may not grow beyond this, as on a full disk.
fn limit(daemon: &Daemon<'_>, bytes: &str) {
    let told = Command::new("prlimit")
        .args(["--pid", &daemon.process.id().to_string(), &format!("--fsize={bytes}")])
        .status();
    assert!(told.expect("prlimit is installed (package util-linux)").success());
}
