//! The TOML files of a configuration folder: read, checked as a whole, and watched.
//!
//! `server.toml`, `trunks.toml`, `plans.toml`, `queue_types.toml` and `companies/<id>.toml`; each may be
//! missing. All mistakes of all files are reported at once, with file, line and column, and any mistake means
//! that there is no configuration. Leaves out writing, history, and sharing unchanged companies with the
//! configuration before.

mod closures;
mod company;
mod contact;
mod cursor;
mod flow;
mod fraud;
mod header_rule;
mod hours;
mod presented;
mod queue;
mod read;
mod server;
mod step;
mod trunk;
mod user;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use ::toml::Spanned;
use ::toml::de::DeTable;

use crate::model::Config;
use crate::model::check;
use crate::model::check::Part;
use crate::model::check::Unsure;
use crate::model::flow::Destination;
use crate::model::ical;
use crate::model::id::CompanyId;
use crate::shell::store::files::cursor::Secrets;
use crate::shell::store::files::cursor::Source;
use crate::shell::store::files::cursor::Table;

pub use crate::shell::store::files::watch::Watcher;
pub use crate::shell::store::files::watch::watch;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Relative to the configuration folder.
    pub file: PathBuf,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)
    }
}

/// What a load came to.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The configuration; none when there is any error.
    pub config: Option<Arc<Config>>,
    /// Mistakes, by file and place.
    pub errors: Vec<Problem>,
    /// What works, but should be looked at, by file and place.
    pub warnings: Vec<Problem>,
}

/// Loads the configuration folder `dir`.
///
/// Audio named by a company is looked for as `<dir>/media/<company>/<file>`, then
/// `<data>/media/<company>/<file>`.
pub fn load(dir: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    let texts = read_texts(dir, &mut loaded);
    let secrets = |written: &str| match written.strip_prefix("file:") {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.trim_end().to_owned()),
            Err(error) => Err(format!("the secret file \"{path}\" cannot be read: {error}")),
        },
        None => from_environment(written, &|name| std::env::var(name).ok()),
    };
    let media = |data: &Path, company: &CompanyId, file: &str| {
        let below = Path::new("media").join(company.as_str()).join(file);
        find_wav(&[dir.join(&below), data.join(&below)])
    };
    let calendar = |data: &Path, company: &CompanyId, file: &str| {
        let below = calendar_path(company, file);
        read_calendar(&[dir.join(&below), data.join(&below)])
    };
    assemble(&texts, &secrets, &media, &calendar, loaded)
}

/// Loads a configuration from texts by path within the folder, without touching the disk.
///
/// `env` is asked for `env:NAME` secrets; `file:` secrets are looked for among the texts by their whole path.
/// `media` says where an audio file of a company is, or why it cannot be used.
pub fn load_texts(
    texts: &BTreeMap<PathBuf, String>,
    env: &dyn Fn(&str) -> Option<String>,
    media: &dyn Fn(&CompanyId, &str) -> Result<PathBuf, String>,
) -> Loaded {
    let secrets = |written: &str| match written.strip_prefix("file:") {
        Some(path) => match texts.get(Path::new(path)) {
            Some(text) => Ok(text.trim_end().to_owned()),
            None => Err(format!("the secret file \"{path}\" cannot be read: it is not there")),
        },
        None => from_environment(written, env),
    };
    let calendar = |_: &Path, company: &CompanyId, file: &str| {
        let path = calendar_path(company, file);
        texts
            .get(&path)
            .cloned()
            .ok_or_else(|| format!("the file is not there: looked for {}", path.display()))
    };
    assemble(texts, &secrets, &|_, company, file| media(company, file), &calendar, Loaded::default())
}

/// Finds an audio file of a company: data folder, company, file.
type MediaFinder<'a> = &'a dyn Fn(&Path, &CompanyId, &str) -> Result<PathBuf, String>;

/// Reads a calendar of a company: data folder, company, file.
type Calendars<'a> = &'a dyn Fn(&Path, &CompanyId, &str) -> Result<String, String>;

/// A file that has been parsed.
struct Parsed<'a> {
    source: Source<'a>,
    root: Option<Spanned<DeTable<'a>>>,
}

impl<'a> Parsed<'a> {
    fn new(path: &str, texts: &'a BTreeMap<PathBuf, String>, secrets: Secrets<'a>) -> Parsed<'a> {
        let path = Path::new(path);
        let text = texts.get(path).map_or("", String::as_str);
        let source = Source::new(path.to_owned(), text, secrets);
        let root = source.parse();
        Parsed { source, root }
    }

    /// The file's top keys; none when it could not be parsed.
    fn table(&self) -> Option<Table<'_>> {
        self.root.as_ref().map(|root| Table::new(&self.source, root.get_ref(), 0))
    }

    /// Reports a finding where its path leads.
    fn report(&self, finding: check::Finding) {
        let path: Vec<&str> = finding.path.iter().map(String::as_str).collect();
        let at = self.root.as_ref().map_or(0, |root| cursor::locate(root.get_ref(), &path, finding.on_key));
        if finding.warning {
            self.source.warn(at, finding.message);
        } else {
            self.source.error(at, finding.message);
        }
    }
}

fn assemble(
    texts: &BTreeMap<PathBuf, String>,
    secrets: Secrets<'_>,
    media: MediaFinder<'_>,
    calendars: Calendars<'_>,
    mut loaded: Loaded,
) -> Loaded {
    let file = |path: &str| Parsed::new(path, texts, secrets);
    let [server, trunks, plans, types] =
        [file("server.toml"), file("trunks.toml"), file("plans.toml"), file("queue_types.toml")];
    let mut config = Config::default();
    if let Some(table) = server.table() {
        config.server = server::server(table);
    }
    if let Some(table) = trunks.table() {
        (config.trunks, config.routes) = trunk::trunks(table);
    }
    if let Some(table) = plans.table() {
        config.plans = trunk::plans(table);
    }
    let types_table = types.table();
    let types_sure = types_table.is_some();
    let operator_types = types_table.map(queue::operator_types).unwrap_or_default();

    let mut companies = BTreeMap::new();
    for (path, id) in texts.keys().filter_map(|path| Some((path, company_id(path)?))) {
        let parsed = Parsed::new(&path.to_string_lossy(), texts, secrets);
        if !read::is_id(id.as_str()) {
            let message =
                format!("\"{id}\" is no company id: name the file with at most 63 of a–z, 0–9, _ and -");
            parsed.source.error(0, message);
        }
        companies.insert(id, parsed);
    }
    let mut unsure =
        Unsure { plans: plans.root.is_none(), trunks: trunks.root.is_none(), ..Unsure::default() };
    for (id, parsed) in &companies {
        let Some(table) = parsed.table() else { continue };
        let find = |file: &str| media(&config.server.data, id, file);
        let calendar = |file: &str| calendars(&config.server.data, id, file);
        let around = company::Around {
            id,
            server: &config.server,
            types: &operator_types,
            types_sure,
            media: &find,
            calendar: &calendar,
        };
        let (company, unsure_flows) = company::company(table, &around);
        unsure.flows.extend(unsure_flows.into_iter().map(|flow| (id.clone(), flow)));
        config.companies.insert(id.clone(), Arc::new(company));
    }
    for finding in check::check(&config, &unsure) {
        match &finding.part {
            Part::Server => server.report(finding),
            Part::Trunks => trunks.report(finding),
            Part::Company(id) => {
                if let Some(parsed) = companies.get(id) {
                    parsed.report(finding);
                }
            }
        }
    }
    for parsed in [server, trunks, plans, types].into_iter().chain(companies.into_values()) {
        let (errors, warnings) = parsed.source.into_problems();
        loaded.errors.extend(errors);
        loaded.warnings.extend(warnings);
    }
    loaded.errors.sort();
    loaded.errors.dedup();
    loaded.warnings.sort();
    loaded.warnings.dedup();
    if loaded.errors.is_empty() {
        index(&mut config);
        loaded.config = Some(Arc::new(config));
    }
    loaded
}

/// Fills in what is found by number and by device.
fn index(config: &mut Config) {
    for (id, company) in &config.companies {
        for (number, destination) in &company.numbers {
            config.numbers.insert(number.clone(), (id.clone(), destination.clone()));
        }
        for (number, service) in &company.services {
            config.services.insert(number.clone(), (id.clone(), service.clone()));
        }
        for (user_id, user) in &company.users {
            if let Some(number) = &user.number {
                config.numbers.insert(number.clone(), (id.clone(), Destination::User(user_id.clone())));
            }
        }
        for device in company.devices.keys() {
            config.devices.insert((company.domain.clone(), device.clone()), id.clone());
        }
    }
}

/// The id of the company whose file this is.
fn company_id(path: &Path) -> Option<CompanyId> {
    let inside = path.strip_prefix("companies").ok()?;
    let stem = inside.to_str()?.strip_suffix(".toml")?;
    (!stem.contains('/')).then(|| stem.into())
}

fn from_environment(written: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let name = written.strip_prefix("env:").unwrap_or(written);
    env(name).ok_or_else(|| format!("the environment variable \"{name}\" is not set"))
}

/// Where a calendar of a company lies, below the configuration or data folder.
fn calendar_path(company: &CompanyId, file: &str) -> PathBuf {
    Path::new("calendars").join(company.as_str()).join(file)
}

/// The first of `places` that is there.
fn read_calendar(places: &[PathBuf]) -> Result<String, String> {
    for place in places {
        let length = match std::fs::metadata(place) {
            Ok(about) => about.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{} cannot be read: {error}", place.display())),
        };
        if length > ical::FILE_MAX as u64 {
            return Err(format!("{} is longer than {} bytes", place.display(), ical::FILE_MAX));
        }
        return std::fs::read_to_string(place)
            .map_err(|error| format!("{} cannot be read: {error}", place.display()));
    }
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Err(format!("the file is not there: looked for {}", looked.join(" and ")))
}

/// The first of `places` that is there, if it is a WAV file.
fn find_wav(places: &[PathBuf]) -> Result<PathBuf, String> {
    let mut missing = Vec::new();
    for place in places {
        let mut head = [0; 12];
        let read = std::fs::File::open(place).and_then(|mut file| file.read_exact(&mut head));
        match read {
            Ok(()) if head.starts_with(b"RIFF") && head.ends_with(b"WAVE") => {
                return std::path::absolute(place).map_err(|error| format!("{}: {error}", place.display()));
            }
            Ok(()) => return Err(format!("{} is not a WAV file", place.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                missing.push(place.display().to_string())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(format!("{} is not a WAV file", place.display()));
            }
            Err(error) => return Err(format!("{} cannot be read: {error}", place.display())),
        }
    }
    Err(format!("the file is not there: looked for {}", missing.join(" and ")))
}

/// Reads every TOML file of the folder; what cannot be read is reported.
fn read_texts(dir: &Path, loaded: &mut Loaded) -> BTreeMap<PathBuf, String> {
    const KNOWN: [&str; 4] = ["server.toml", "trunks.toml", "plans.toml", "queue_types.toml"];
    let mut texts = BTreeMap::new();
    let mut problem = |file: &Path, message: String| {
        loaded.errors.push(Problem { file: file.to_owned(), line: 1, column: 1, message });
    };
    let mut unknown = Vec::new();
    for folder in ["", "companies"] {
        let names = match toml_names(&dir.join(folder)) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !folder.is_empty() => continue,
            Err(error) => {
                problem(
                    Path::new(folder),
                    format!("the folder {} cannot be read: {error}", dir.join(folder).display()),
                );
                continue;
            }
        };
        for name in names {
            let path = Path::new(folder).join(&name);
            if folder.is_empty() && !KNOWN.contains(&name.as_str()) {
                unknown.push((path, name));
                continue;
            }
            match std::fs::read(dir.join(&path)).map(String::from_utf8) {
                Ok(Ok(text)) => {
                    texts.insert(path, text);
                }
                Ok(Err(error)) => problem(&path, format!("the file is not UTF-8: {error}")),
                Err(error) => problem(&path, format!("the file cannot be read: {error}")),
            }
        }
    }
    for (file, name) in unknown {
        let meant =
            check::nearest(&name, KNOWN).map_or(String::new(), |known| format!(" – did you mean {known}?"));
        let message = format!("this file is not read{meant}");
        loaded.warnings.push(Problem { file, line: 1, column: 1, message });
    }
    texts
}

/// The names of the TOML files in a folder, in order; hidden files are left alone.
fn toml_names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.ends_with(".toml") && !name.starts_with('.')) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
