//! A client that writes what it is told to, byte for byte, and reads answers by their framing.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer as it came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Raw { stream, read: Vec::new() }
    }

    /// A connection on which little comes before it is read.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Raw { stream, read: Vec::new() }
    }

    /// Writes; a server that has closed already is not an error of the client's.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next answer; `None` = the server closed before it.
    pub(crate) async fn answer(&mut self, is_head: bool) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let bodiless = is_head || head.contains(" 304 ");
        let len = if bodiless { 0 } else { length(&head) };
        while self.read.len() < len {
            self.more().await?;
        }
        let body = self.read.drain(..len).collect();
        Some(Answer { head, body })
    }

    /// Reads until this has come.
    pub(crate) async fn until(&mut self, text: &[u8]) {
        while !self.read.windows(text.len()).any(|bytes| bytes == text) {
            self.more().await.expect("the server closed before");
        }
    }

    async fn more(&mut self) -> Option<()> {
        let mut bytes = [0; 4 * 1024];
        let len = self.stream.read(&mut bytes).await.unwrap_or(0);
        self.read.extend_from_slice(&bytes[..len]);
        (len > 0).then_some(())
    }

    /// Waits for the server to end the connection; what came before that.
    pub(crate) async fn end(mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        self.read
    }

    /// Says that no more comes, and waits for the end.
    pub(crate) async fn finish(mut self) -> Vec<u8> {
        let _ = self.stream.shutdown().await;
        self.end().await
    }
}

fn length(head: &str) -> usize {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.unwrap_or_else(|| panic!("it says no length: {head}")).parse().unwrap()
}

impl Answer {
    /// Without its date, which comes from two clocks.
    pub(crate) fn undated(mut self) -> Self {
        let date = self.head.lines().find(|line| line.starts_with("date: ")).map(str::to_owned);
        let date = date.unwrap_or_else(|| panic!("it has no date: {}", self.head));
        assert!(date.ends_with(" GMT"), "{date}");
        self.head = self.head.replacen(&date, "date", 1);
        self
    }

    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{}{} bytes: {:.80}", self.head, self.body.len(), body)
    }
}
