//! A server under way: what it answers, and what it costs by the system's count.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A server under way. Dropping it ends it.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) child: Child,
    pub(crate) address: String,
}

/// What `wrk` and the system said of one run.
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_s: f64,
}

impl Server {
    /// One that says its address in its first line.
    pub(crate) fn spawn(name: &'static str, mut command: Command) -> Server {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("http://").unwrap_or_else(|| panic!("{name} said {line:?}"));
        let address = rest.split(['/', '"']).next().unwrap().trim().to_owned();
        Server { name, child, address }
    }

    /// All that is sent, head and body.
    pub(crate) fn ask(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ask("/readyz").is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
    }

    /// The body of an answer, which must be 200.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        let answer = self.ask(path).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        parts(&answer).1.to_vec()
    }

    pub(crate) fn load(&self, path: &str, connections: usize) -> Load {
        let before = self.cpu_s();
        let mut wrk = Command::new("wrk");
        wrk.args(["-t2", "--latency", &format!("-c{connections}"), &format!("-d{}s", crate::SECONDS)]);
        let output = wrk.arg(format!("http://{}{path}", self.address)).output().unwrap();
        let cpu_s = self.cpu_s() - before;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !text.contains("Non-2xx"), "{}: {text}", self.name);
        let after =
            |label: &str| text.lines().find_map(|line| line.trim_start().strip_prefix(label)).unwrap();
        let (requests, seconds) = text.split_once(" requests in ").unwrap();
        Load {
            requests: requests.split_whitespace().last().unwrap().parse().unwrap(),
            seconds: ms(seconds.split(',').next().unwrap()) / 1e3,
            p50_ms: ms(after("50%").trim()),
            p99_ms: ms(after("99%").trim()),
            cpu_s,
        }
    }

    /// The process and its children, which are nginx's workers and Varnish's cache.
    fn stats(&self) -> Vec<Vec<String>> {
        let own = self.child.id().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.filter_map(|process| {
            let pid = process.file_name().into_string().ok()?;
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            let fields: Vec<String> =
                stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
            (pid == own || fields[1] == own).then_some(fields)
        });
        stats.collect()
    }

    /// User and system time so far, in seconds; Linux counts it to people in hundredths.
    fn cpu_s(&self) -> f64 {
        let ticks = |fields: Vec<String>| -> f64 {
            fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
        };
        self.stats().into_iter().map(ticks).sum::<f64>() / 100.0
    }

    pub(crate) fn memory_mb(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers end with their master only if that is asked to end.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}

impl Load {
    /// CPU time a request, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu_s / self.requests * 1e6
    }
}

/// The head of an answer, and its body.
pub(crate) fn parts(answer: &[u8]) -> (String, &[u8]) {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), &answer[end + 4..])
}

/// A time as `wrk` writes it.
fn ms(text: &str) -> f64 {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    let (number, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit))).unwrap();
    number.parse::<f64>().unwrap() * unit
}
