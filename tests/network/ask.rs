//! Questions to another system over real sockets: what is sent, and every way in which an answer can be wrong.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use sentral::model::server::Secret;
use sentral::rand::Rng;
use sentral::shell::ask::Asker;
use sentral::shell::net::dns::Names;
use sentral::switch::asking::Post;
use sentral::switch::flow::action::Unanswered;

/// What the other system does with a connection after it has read the question.
type Answer = fn(&mut TcpStream);

/// A system that does the same with each question, which it hands over as it came.
struct System {
    url: String,
    questions: mpsc::Receiver<String>,
}

impl System {
    fn start(answer: Answer) -> System {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/sentral?x=1", listener.local_addr().unwrap());
        let (sender, questions) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let question = read(&mut stream);
                answer(&mut stream);
                if sender.send(question).is_err() {
                    return;
                }
            }
        });
        System { url, questions }
    }
}

/// A request, head and body.
fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse::<usize>().unwrap() {
                return text;
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend(&piece[..count]),
        }
    }
}

fn respond(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    // Who asked may have hung up on an answer that is too long.
    let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
}

fn post(url: &str, timeout: Duration) -> Post {
    Post {
        url: url.into(),
        id: "0-1-1".into(),
        at: 1_614_265_330,
        secret: Some(Secret("hemmelig".into())),
        body: "{\"type\":\"flow.ask\"}".into(),
        timeout,
    }
}

fn asker() -> Asker {
    Asker::new(Names::new(Vec::new(), Rng::from_seed(1)), None)
}

async fn ask(url: &str, timeout: Duration) -> (Result<String, Unanswered>, Duration) {
    let began = Instant::now();
    let answer = asker().ask(&post(url, timeout)).await;
    (answer.map(|body| String::from_utf8(body).unwrap()), began.elapsed())
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_question_is_posted_signed_and_its_answer_comes_back() {
    let system = System::start(|stream| respond(stream, "200 OK", "{\"exit\":\"vip\"}"));
    let (answer, _) = ask(&system.url, LONG).await;
    assert_eq!(answer.as_deref(), Ok("{\"exit\":\"vip\"}"));
    let question = system.questions.recv().unwrap();
    let host = system.url.trim_start_matches("http://").split('/').next().unwrap();
    for expect in [
        "POST /sentral?x=1 HTTP/1.1\r\n",
        &format!("host: {host}\r\n"),
        "content-type: application/json\r\n",
        "webhook-id: 0-1-1\r\n",
        "webhook-timestamp: 1614265330\r\n",
        "webhook-signature: v1,",
        "\r\n\r\n{\"type\":\"flow.ask\"}",
    ] {
        assert!(question.contains(expect), "{expect:?} in {question}");
    }
    assert!(!question.contains("hemmelig"));
}

#[tokio::test]
async fn an_answer_that_is_late_long_wrong_or_elsewhere_is_none() {
    let rows: [(Answer, Unanswered); 5] = [
        (|stream| respond(stream, "500 Oops", ""), Unanswered::Status(500)),
        // A redirection is not followed, wherever it leads.
        (
            |stream| {
                let _ = stream.write_all(
                    b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
                );
            },
            Unanswered::Status(302),
        ),
        (|stream| respond(stream, "200 OK", &"x".repeat(1_000_000)), Unanswered::Unreadable),
        (
            |stream| {
                let _ = stream.write_all(b"tull\r\n\r\n");
            },
            Unanswered::Unreachable,
        ),
        // Nothing at all, and the connection ends.
        (|_| {}, Unanswered::Unreachable),
    ];
    for (answer, expect) in rows {
        let system = System::start(answer);
        assert_eq!(ask(&system.url, LONG).await.0, Err(expect));
    }
}

#[tokio::test]
async fn the_budget_holds_for_a_system_that_says_nothing_and_for_one_that_trickles() {
    // Accepts in the kernel, and is never read.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (answer, took) = ask(&format!("http://{}/", silent.local_addr().unwrap()), SHORT).await;
    assert_eq!(answer, Err(Unanswered::Timeout));
    assert!(took >= SHORT && took < SHORT * 20, "{took:?}");
    let trickle = System::start(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{");
        // Held open until who asked goes away.
        let _ = stream.read(&mut [0; 16]);
    });
    assert_eq!(ask(&trickle.url, SHORT).await.0, Err(Unanswered::Timeout));
}

#[tokio::test]
async fn who_cannot_be_reached_is_told_at_once() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(ask(&format!("http://{gone}/"), LONG).await.0, Err(Unanswered::Unreachable));
    assert_eq!(ask("http:///x", LONG).await.0, Err(Unanswered::Unreachable));
    // No TLS is spoken there.
    let plain = System::start(|stream| respond(stream, "200 OK", "{}"));
    let secure = plain.url.replace("http://", "https://");
    assert!(ask(&secure, SHORT * 4).await.0.is_err());
}
