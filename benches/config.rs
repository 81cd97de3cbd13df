//! How long a large company takes to load: 5,000 users, 200 queues, a flow for each queue.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use sentral::shell::store::files::load_texts;

fn main() {
    divan::main();
}

#[divan::bench(sample_count = 20)]
fn five_thousand_users_and_two_hundred_queues(bencher: divan::Bencher<'_, '_>) {
    let texts = BTreeMap::from([(PathBuf::from("companies/stor.toml"), large_company())]);
    let load = || load_texts(&texts, &|_| None, &|_, file| Ok(file.into()));
    let loaded = load();
    assert!(loaded.config.is_some(), "{:?}", loaded.errors.first());
    bencher.bench_local(load);
}

fn large_company() -> String {
    let mut text = String::from("[company]\nname = \"Stor AS\"\n[media]\nmeny = { file = \"meny.wav\" }\n");
    text.push_str("[voicemail.felles]\nusers = [\"u1\"]\n");
    for user in 0..5_000 {
        let number = 36_010_000 + user;
        let written = writeln!(
            text,
            "[users.u{user}]\nname = \"Bruker {user}\"\next = \"{}\"\nnumber = \"+47{number}\"\nvoicemail = true\n\
             no_answer = {{ after = \"20s\", to = \"voicemail:user:u{user}\" }}\n[devices.d{user}]\nuser = \"u{user}\"",
            20_000 + user
        );
        written.expect("a string takes everything");
    }
    for queue in 0..200 {
        let agents: Vec<String> = (0..25).map(|agent| format!("\"u{}\"", queue * 25 + agent)).collect();
        let written = writeln!(
            text,
            "[queues.q{queue}]\nname = \"Kø {queue}\"\next = \"{}\"\nagents = [{}]\noverflow = \"voicemail:felles\"\n\
             [flows.f{queue}]\nstart = \"meny\"\n[flows.f{queue}.steps]\n\
             meny = {{ menu = \"meny\", 1 = \"queue:q{queue}\", 2 = \"ring\", timeout = \"queue:q{queue}\" }}\n\
             ring = {{ dial = \"user:u{queue}\", no_answer = \"voicemail:felles\" }}",
            6_000 + queue,
            agents.join(", ")
        );
        written.expect("a string takes everything");
    }
    text
}
