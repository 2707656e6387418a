//! A scripted server: an arbitrary but fixed language model, and any fault on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scaletot_teacher::prompt_key;
use serde_json::{Value, json};

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    Json(Value),
    /// Status, further header lines, body.
    Raw(u16, &'static str, String),
    /// The right length is promised, and half of the body sent.
    Cut(Value),
    /// Nothing, and the connection is closed.
    Reset,
    /// Nothing for a while, then a close.
    Hang(Duration),
    /// These bytes, and then others again and again, as long as somebody reads them.
    Flood(&'static str, &'static [u8]),
    /// A body of bytes as they are, with further header lines.
    Bytes(&'static str, Vec<u8>),
}

/// What a server is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Number of the request, from 0.
    pub(crate) number: usize,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

impl Asked {
    /// The prompt, or the last message.
    pub(crate) fn prompt(&self) -> &str {
        let message = &self.body["messages"][1]["content"];
        self.body["prompt"].as_str().or(message.as_str()).unwrap_or_default()
    }
}

type Script = dyn Fn(&Asked) -> Reaction + Send + Sync;

/// A server on a free port, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, script): (_, Arc<Script>) = (Arc::default(), Arc::new(script));
        let (log, count) = (Arc::clone(&asked), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, count, script) = (Arc::clone(&log), Arc::clone(&count), Arc::clone(&script));
                std::thread::spawn(move || serve(stream, &log, &count, &*script));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers the requests of one connection until it ends.
fn serve(stream: TcpStream, log: &Mutex<Vec<Asked>>, count: &AtomicUsize, script: &Script) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut authorization) = (0, None);
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).is_err() {
                return;
            }
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return; // killed on the way
        }
        let number = count.fetch_add(1, Ordering::SeqCst);
        let asked = Asked { number, path, authorization, body: serde_json::from_slice(&body).unwrap() };
        log.lock().unwrap().push(asked.clone());
        let send = |writer: &mut TcpStream, status: u16, headers: &str, body: &str, sent: usize| {
            let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
            // One packet, as servers send it.
            writer.write_all(&[head.as_bytes(), &body.as_bytes()[..sent]].concat()).is_ok()
        };
        let more = match script(&asked) {
            Reaction::Json(value) => {
                let body = value.to_string();
                send(&mut writer, 200, "content-type: application/json\r\n", &body, body.len())
            }
            Reaction::Raw(status, headers, body) => send(&mut writer, status, headers, &body, body.len()),
            Reaction::Cut(value) => {
                let body = value.to_string();
                send(&mut writer, 200, "", &body, body.len() / 2);
                false
            }
            Reaction::Reset => false,
            Reaction::Hang(time) => {
                std::thread::sleep(time);
                false
            }
            Reaction::Flood(head, again) => {
                let mut sent = writer.write_all(head.as_bytes());
                while sent.is_ok() {
                    sent = writer.write_all(again);
                }
                false
            }
            Reaction::Bytes(headers, body) => {
                let head = format!("HTTP/1.1 200 X\r\n{headers}content-length: {}\r\n\r\n", body.len());
                writer.write_all(&[head.as_bytes(), &body].concat()).is_ok()
            }
        };
        if !more {
            let _ = writer.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// The probability that the model gives to a token after a text; what is left over goes to other words.
pub(crate) fn probability(prompt: &str, token: &str) -> f64 {
    let key = prompt_key("scripted", prompt, &[token.to_owned()]);
    (1.0 + f64::from(key.bytes()[0])) / 256.0 * 0.15
}

/// Tokens of a text: words with the space before them.
fn tokens(text: &str) -> Vec<String> {
    text.split_inclusive(|c: char| c != ' ').fold(Vec::<String>::new(), |mut tokens, part| {
        match tokens.last_mut() {
            Some(last) if !part.starts_with(' ') => last.push_str(part),
            _ => tokens.push(part.to_owned()),
        }
        tokens
    })
}

/// What a server can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ability {
    /// Top tokens, in the shape of completions.
    Classic,
    /// Top tokens, in the shape of chat.
    Content,
    /// Log-probabilities of an echoed prompt alone.
    Echo,
    /// Text alone.
    Text,
}

/// First tokens that a model may say.
const VOCABULARY: [&str; 8] = [" low", " moderate", " high", " shop", " web", " very", " the", " a"];

/// A well answered request.
pub(crate) fn answer(asked: &Asked, ability: Ability) -> Value {
    let prompt = asked.prompt();
    let usage = json!({ "prompt_tokens": tokens(prompt).len(), "completion_tokens": 1 });
    let top: Vec<(&str, f64)> =
        VOCABULARY.iter().map(|token| (*token, probability(prompt, token).ln())).collect();
    let best = top.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let chat = asked.path.ends_with("chat/completions");
    let logprobs = match ability {
        Ability::Classic if !chat => json!({
            "tokens": [best.0],
            "token_logprobs": [best.1],
            "top_logprobs": [top.iter().map(|(t, lp)| ((*t).to_owned(), json!(lp))).collect::<serde_json::Map<_, _>>()],
        }),
        Ability::Classic | Ability::Content => json!({ "content": [{
            "token": best.0,
            "logprob": best.1,
            "top_logprobs": top.iter().map(|(t, lp)| json!({ "token": t, "logprob": lp })).collect::<Vec<_>>(),
        }] }),
        Ability::Echo if asked.body["echo"] == true => {
            let (mut before, mut lps) = (String::new(), Vec::new());
            let given = tokens(prompt);
            for token in &given {
                lps.push(if before.is_empty() {
                    Value::Null
                } else {
                    json!(probability(&before, token).ln())
                });
                before.push_str(token);
            }
            json!({ "tokens": given, "token_logprobs": lps, "top_logprobs": null })
        }
        Ability::Echo | Ability::Text => Value::Null,
    };
    let said = match ability {
        Ability::Echo if asked.body["echo"] == true => prompt.to_owned(),
        // Samples go through the labels by their probabilities.
        _ => best.0.to_owned(),
    };
    let choice = |text: &str| match chat {
        true => json!({ "message": { "content": text.trim() }, "logprobs": logprobs }),
        false => json!({ "text": text, "logprobs": logprobs }),
    };
    let choices: Vec<Value> = match asked.body["n"].as_u64() {
        Some(n) => (0..n).map(|i| choice(drawn(prompt, i))).collect(),
        None => vec![choice(&said)],
    };
    json!({ "choices": choices, "usage": usage })
}

/// The `i`-th sample of three labels: as many of each as their probabilities say, to the nearest tenth.
fn drawn(prompt: &str, i: u64) -> &'static str {
    let labels = [" low", " moderate", " high"];
    let all: f64 = labels.iter().map(|label| probability(prompt, label)).sum();
    let mut at = (i as f64 % 10.0 + 0.5) / 10.0 * all;
    for label in labels {
        at -= probability(prompt, label);
        if at < 0.0 {
            return label;
        }
    }
    labels[2]
}
