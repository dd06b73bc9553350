//! An index that keeps nothing: it answers that everything was created.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Debug, Default)]
struct State {
    documents: AtomicU64,
    templates: Mutex<HashMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct NullIndex {
    port: u16,
    state: Arc<State>,
}

impl NullIndex {
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many documents it was sent.
    pub(crate) fn documents(&self) -> u64 {
        self.state.documents.load(Ordering::Relaxed)
    }
}

pub(crate) fn start() -> NullIndex {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = Arc::new(State::default());
    let shared = Arc::clone(&state);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&shared);
            std::thread::spawn(move || serve(&stream, &state));
        }
    });
    NullIndex { port, state }
}

fn serve(stream: &TcpStream, state: &State) {
    let mut reader = BufReader::with_capacity(1 << 20, stream);
    let mut body = Vec::new();
    loop {
        let mut request = String::new();
        let mut length = 0;
        loop {
            let start = request.len();
            if reader.read_line(&mut request).unwrap_or(0) == 0 {
                return;
            }
            let line = request[start..].trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body).unwrap();
        let (status, answer) = answer(&request, &body, state);
        let head = format!(
            "HTTP/1.1 {status} OK\r\nx-elastic-product: Elasticsearch\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let mut out = stream;
        if out.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).is_err() {
            return;
        }
    }
}

fn answer(request: &str, body: &[u8], state: &State) -> (u16, String) {
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap();
    if path.ends_with("/_bulk") {
        let documents = memchr::memchr_iter(b'\n', body).count() / 2;
        state.documents.fetch_add(documents as u64, Ordering::Relaxed);
        let items = vec![r#"{"create":{"status":201}}"#; documents].join(",");
        return (200, format!(r#"{{"errors":false,"items":[{items}]}}"#));
    }
    if path.starts_with("/_nodes") {
        return (200, r#"{"nodes":{"a":{"version":"9.2.0"}}}"#.to_owned());
    }
    let Some(name) = path.strip_prefix("/_index_template/") else {
        return (404, "{}".to_owned());
    };
    let mut templates = state.templates.lock().unwrap();
    if method == "PUT" {
        templates.insert(name.to_owned(), String::from_utf8(body.to_vec()).unwrap());
        return (200, r#"{"acknowledged":true}"#.to_owned());
    }
    match templates.get(name) {
        Some(template) => {
            let found = format!(r#"{{"name":"{name}","index_template":{template}}}"#);
            (200, format!(r#"{{"index_templates":[{found}]}}"#))
        }
        None => (404, "{}".to_owned()),
    }
}
