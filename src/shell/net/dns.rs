//! Asks name servers what `sip::locate` wants to know of a host (RFC 3263), and remembers it for as long as the
//! answers may be remembered.
//!
//! Many trunks of one carrier ask once: a question that is under way is waited for. The machine's own
//! configuration (`resolv.conf`, hosts file) is read anew now and then. A server that does not answer counts as one
//! that knows nothing. Left out: DNSSEC, DNS over TLS or HTTPS.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::RecordType;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::rand::Rng;
use crate::sip::Transport;
use crate::sip::locate;
use crate::sip::locate::Naptr;
use crate::sip::locate::Place;
use crate::sip::locate::Question;
use crate::sip::locate::Service;
use crate::sip::locate::Srv;

/// How long one question may take, with what is repeated.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// That a name leads nowhere is remembered this long.
const NEGATIVE: Duration = Duration::from_secs(30);
/// What leads somewhere is remembered this long at least and at most.
const KEPT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3_600));
/// An address written as such stays, but the way to it may change.
const LITERAL: Duration = Duration::from_secs(60);
/// Names that are remembered.
const NAMES_MAX: usize = 1_000;
/// How often the machine's configuration is read.
const SYSTEM_EVERY: Duration = Duration::from_secs(60);

/// Host, port and transport as they were asked for.
type Key = (String, Option<u16>, Option<Transport>);

/// The way to the name servers; clones share it.
#[derive(Clone)]
pub struct Names(Arc<Shared>);

struct Shared {
    /// Asked instead of the machine's own, when there are any.
    servers: Vec<SocketAddr>,
    client: Mutex<Option<(Instant, TokioResolver)>>,
    known: Mutex<HashMap<Key, Arc<OnceCell<Known>>>>,
    /// What the draws among servers follow from, so that a name keeps its order from one look-up to the next.
    seed: u64,
}

/// What is known of a name.
#[derive(Debug, Default)]
struct Known {
    /// The only server, when SRV had no say.
    place: Option<Place>,
    /// SRV records of each service.
    found: Vec<(Service, Vec<Srv>)>,
    /// Addresses of the servers.
    addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Until when this may be believed.
    until: Option<Instant>,
}

/// Addresses with their transport, best first, and for how long they may be believed.
pub type Located = (Vec<(Transport, SocketAddr)>, Duration);

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("servers", &self.0.servers).finish_non_exhaustive()
    }
}

impl Names {
    /// Asks these servers, or the machine's own when there are none. Chance shares a name's load among all who use
    /// it; one process stays with its draw, so that registrations do not move about.
    pub fn new(servers: Vec<SocketAddr>, mut rng: Rng) -> Names {
        Names(Arc::new(Shared {
            servers,
            client: Mutex::default(),
            known: Mutex::default(),
            seed: rng.bits(),
        }))
    }

    /// Where a host is, by a transport or, without one, by what its NAPTR records prefer of those that we `speak`.
    pub async fn locate(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
        speak: &[Transport],
    ) -> Located {
        let question = locate::begin(host, port, transport);
        if let Question::Nothing(transport, address) = question {
            return (vec![(transport, address)], LITERAL);
        }
        let cell = self.cell((host.to_ascii_lowercase(), port, transport));
        let known = cell.get_or_init(|| self.find_out(host, question, speak)).await;
        let places = match &known.place {
            Some(place) => vec![place.clone()],
            None => locate::places(host, &known.found, &mut self.draw(host)),
        };
        let found = locate::candidates(&places, &known.addresses);
        let left = known.until.map_or(NEGATIVE, |until| until.saturating_duration_since(Instant::now()));
        (found, left.clamp(KEPT.0, KEPT.1))
    }

    /// The place for what is known of a name; an empty one when nothing is, or no longer.
    fn cell(&self, key: Key) -> Arc<OnceCell<Known>> {
        let now = Instant::now();
        let valid = |cell: &Arc<OnceCell<Known>>| {
            cell.get().is_none_or(|known| known.until.is_none_or(|until| until > now))
        };
        let mut known = lock_of(&self.0.known);
        if let Some(cell) = known.get(&key).filter(|cell| valid(cell)) {
            return Arc::clone(cell);
        }
        if known.len() >= NAMES_MAX {
            known.retain(|_, cell| valid(cell));
            if known.len() >= NAMES_MAX {
                // What is forgotten is asked again.
                known.clear();
            }
        }
        let cell = Arc::<OnceCell<Known>>::default();
        known.insert(key, Arc::clone(&cell));
        cell
    }

    fn draw(&self, host: &str) -> Rng {
        let mut hasher = DefaultHasher::new();
        (self.0.seed, host.to_ascii_lowercase()).hash(&mut hasher);
        Rng::from_seed(hasher.finish())
    }

    /// Asks everything that a question leads to.
    async fn find_out(&self, host: &str, question: Question, speak: &[Transport]) -> Known {
        let mut known = Known::default();
        let Some(client) = self.client() else {
            known.until = Some(Instant::now() + NEGATIVE);
            return known;
        };
        let mut until = Instant::now() + KEPT.1;
        let services = match question {
            Question::Naptr => {
                let records = client.naptr(host, &mut until).await;
                locate::services(host, &records, speak)
            }
            Question::Services(services) => services,
            Question::Addresses(place) => {
                known.place = Some(place);
                Vec::new()
            }
            Question::Nothing(..) => Vec::new(),
        };
        known.found = client.servers(services, &mut until).await;
        let places = match &known.place {
            Some(place) => vec![place.clone()],
            None => locate::places(host, &known.found, &mut self.draw(host)),
        };
        let hosts: BTreeSet<String> = places.into_iter().map(|place| place.host).collect();
        known.addresses = client.addresses(hosts, &mut until).await;
        let now = Instant::now();
        let nowhere = known.addresses.values().all(Vec::is_empty);
        known.until = Some(if nowhere { now + NEGATIVE } else { until.clamp(now + KEPT.0, now + KEPT.1) });
        known
    }

    /// The client of the name servers, made anew from the machine's files when it is old.
    fn client(&self) -> Option<Client> {
        let mut client = lock_of(&self.0.client);
        match &*client {
            Some((made, resolver)) if made.elapsed() < SYSTEM_EVERY => return Some(Client(resolver.clone())),
            Some(_) | None => {}
        }
        match build(&self.0.servers) {
            Ok(resolver) => {
                *client = Some((Instant::now(), resolver.clone()));
                Some(Client(resolver))
            }
            Err(error) => {
                tracing::warn!(%error, "no name server can be asked");
                None
            }
        }
    }
}

fn build(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let to = |server: &SocketAddr| {
        let on = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        NameServerConfig::new(
            server.ip(),
            true,
            vec![on(ConnectionConfig::udp()), on(ConnectionConfig::tcp())],
        )
    };
    let given = |servers: &[SocketAddr]| {
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(to).collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::debug!(%error, "resolv.conf cannot be used");
            // As resolv.conf(5) says: without it, a name server on this machine.
            given(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 53))])
        })
    } else {
        given(servers)
    };
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.positive_max_ttl = Some(KEPT.1);
    options.negative_max_ttl = Some(NEGATIVE);
    builder.build()
}

/// Asks one question after the other; each answer shortens `until` to what it may be believed.
#[derive(Clone)]
struct Client(TokioResolver);

impl Client {
    async fn naptr(&self, host: &str, until: &mut Instant) -> Vec<Naptr> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = |data: &RData| match data {
            RData::NAPTR(record) => Some(Naptr {
                order: record.order,
                preference: record.preference,
                flags: text(&record.flags),
                service: text(&record.services),
                regexp: text(&record.regexp),
                replacement: record.replacement.to_ascii(),
            }),
            _ => None,
        };
        self.records(host, RecordType::NAPTR, read, until).await
    }

    /// SRV records of each service, in the order of the services.
    async fn servers(&self, services: Vec<Service>, until: &mut Instant) -> Vec<(Service, Vec<Srv>)> {
        let read = |data: &RData| match data {
            RData::SRV(record) => Some(Srv {
                priority: record.priority,
                weight: record.weight,
                port: record.port,
                target: record.target.to_ascii(),
            }),
            _ => None,
        };
        let ask = |client: Client, service: Service, mut until: Instant| async move {
            let records = client.records(&service.name, RecordType::SRV, read, &mut until).await;
            ((service, records), until)
        };
        self.all(services, ask, until).await
    }

    /// Addresses of each host, IPv4 first: carriers that have both are used to it.
    async fn addresses(&self, hosts: BTreeSet<String>, until: &mut Instant) -> BTreeMap<String, Vec<IpAddr>> {
        let ask = |client: Client, host: String, mut until: Instant| async move {
            let mut addresses: Vec<IpAddr> = Vec::new();
            match timeout(ANSWER_WAIT, client.0.lookup_ip(absolute(&host))).await {
                Ok(Ok(found)) => {
                    until = until.min(found.valid_until());
                    addresses.extend(found.iter());
                }
                Ok(Err(error)) => tracing::debug!(%error, host, "name has no address"),
                Err(_) => tracing::debug!(host, "no answer about the name in time"),
            }
            addresses.sort_by_key(IpAddr::is_ipv6);
            ((host, addresses), until)
        };
        self.all(hosts.into_iter().collect(), ask, until).await.into_iter().collect()
    }

    /// Asks all questions at once; the answers are in the order of the questions.
    async fn all<Q, A, F>(
        &self,
        questions: Vec<Q>,
        ask: impl Fn(Client, Q, Instant) -> F,
        until: &mut Instant,
    ) -> Vec<A>
    where
        A: Send + 'static,
        F: Future<Output = (A, Instant)> + Send + 'static,
    {
        let mut asked = JoinSet::new();
        for (at, question) in questions.into_iter().enumerate() {
            let answer = ask(self.clone(), question, *until);
            asked.spawn(async move { (at, answer.await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(at, _)| *at);
        answers
            .into_iter()
            .map(|(_, (answer, believed))| {
                *until = believed.min(*until);
                answer
            })
            .collect()
    }

    /// The records of one kind, none when there are none or nobody knows.
    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
        until: &mut Instant,
    ) -> Vec<T> {
        match timeout(ANSWER_WAIT, self.0.lookup(absolute(name), kind)).await {
            Ok(Ok(found)) => {
                let records: Vec<T> =
                    found.answers().iter().filter_map(|record| read(&record.data)).collect();
                if !records.is_empty() {
                    *until = found.valid_until().min(*until);
                }
                return records;
            }
            Ok(Err(error)) => tracing::debug!(%error, name, %kind, "no such records"),
            Err(_) => tracing::debug!(name, %kind, "no answer about the records in time"),
        }
        Vec::new()
    }
}

/// A name with a dot in it is whole: the search list of `resolv.conf` is for short names.
fn absolute(name: &str) -> String {
    if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.to_owned() }
}

/// What the lock guards is sound after every statement, so a panic elsewhere does not matter.
fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
