//! How long large companies take to load and to be taken over: users, queues, and a flow for each queue.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sentral::model::Config;
use sentral::rand::Rng;
use sentral::shell::store::files::load_texts;
use sentral::switch::Input;
use sentral::switch::Switch;
use sentral::time::Now;
use sentral::time::Timestamp;

fn main() {
    divan::main();
}

#[divan::bench(sample_count = 20)]
fn five_thousand_users_and_two_hundred_queues(bencher: divan::Bencher<'_, '_>) {
    let texts = companies(1);
    bencher.bench_local(|| load(&texts));
}

/// Ten companies of 1,000 users and 100 queues each are read, checked and compared.
#[divan::bench(sample_count = 10)]
fn ten_thousand_users_and_a_thousand_queues(bencher: divan::Bencher<'_, '_>) {
    let texts = companies(10);
    bencher.bench_local(|| load(&texts));
}

/// What the signalling thread does with the same, once it is loaded: nobody is served meanwhile.
#[divan::bench(sample_count = 10)]
fn ten_thousand_users_and_a_thousand_queues_are_adopted(bencher: divan::Bencher<'_, '_>) {
    let texts = companies(10);
    #[expect(clippy::disallowed_methods, reason = "a benchmark has a clock")]
    let now = Now { mono: Instant::now(), utc: Timestamp::UNIX_EPOCH };
    let mut switch = Switch::new(now, load(&texts), Rng::from_seed(1));
    bencher.with_inputs(|| load(&texts)).bench_local_values(|config| {
        switch.handle_input(now, Input::Config(config));
        while switch.poll_output().is_some() {}
    });
}

fn load(texts: &BTreeMap<PathBuf, String>) -> Arc<Config> {
    let loaded = load_texts(texts, &|_| None, &|_, file| Ok(file.into()));
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.errors.first()))
}

/// So many companies: one of 5,000 users and 200 queues, or several of 1,000 and 100.
fn companies(count: usize) -> BTreeMap<PathBuf, String> {
    let (users, queues) = if count == 1 { (5_000, 200) } else { (1_000, 100) };
    let company = |at: usize| (format!("companies/stor{at}.toml").into(), company(at, users, queues));
    (0..count).map(company).collect()
}

fn company(at: usize, users: usize, queues: usize) -> String {
    let mut text = String::from("[company]\nname = \"Stor AS\"\n[media]\nmeny = { file = \"meny.wav\" }\n");
    text.push_str("[voicemail.felles]\nusers = [\"u1\"]\n");
    for user in 0..users {
        let number = 36_010_000 + at * users + user;
        let written = writeln!(
            text,
            "[users.u{user}]\nname = \"Bruker {user}\"\next = \"{}\"\nnumber = \"+47{number}\"\nvoicemail = true\n\
             no_answer = {{ after = \"20s\", to = \"voicemail:user:u{user}\" }}\n[devices.d{at}x{user}]\nuser = \"u{user}\"",
            20_000 + user
        );
        written.expect("a string takes everything");
    }
    for queue in 0..queues {
        let agents: Vec<String> =
            (0..25).map(|agent| format!("\"u{}\"", (queue * 25 + agent) % users)).collect();
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
