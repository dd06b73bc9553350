//! A server that can be switched off: a relay of connections. Switched off it refuses them and
//! cuts those that there are, which is all that a client sees of a server that was stopped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) struct Proxy {
    /// Where the server is behind it.
    target: String,
    address: SocketAddr,
    relay: Option<Runtime>,
}

impl Proxy {
    /// Of a server at `host:port`; switched off.
    pub(crate) fn of(target: &str) -> Self {
        let address = ([127, 0, 0, 1], crate::support::ports::free_port()).into();
        Self { target: target.to_owned(), address, relay: None }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn switch_on(&mut self) {
        drop(self.switch_on_for(u64::MAX));
    }

    /// Switches itself off when the server has answered so many bytes, in the middle of an answer;
    /// what it gives is cancelled then.
    pub(crate) fn switch_on_for(&mut self, answered_bytes: u64) -> CancellationToken {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(self.address)).unwrap();
        let (target, off) = (self.target.clone(), CancellationToken::new());
        let relay = off.clone();
        drop(runtime.spawn(async move {
            let left = Arc::new(AtomicU64::new(answered_bytes));
            let mut connections = JoinSet::new();
            let accepting = async {
                while let Ok((client, _)) = listener.accept().await {
                    let (target, left, off) = (target.clone(), Arc::clone(&left), relay.clone());
                    connections.spawn(async move { relayed(client, target, &left, &off).await });
                }
            };
            relay.run_until_cancelled(accepting).await;
            // Listener and connections go with this.
        }));
        self.relay = Some(runtime);
        off
    }

    /// Ends the listener and every connection.
    pub(crate) fn switch_off(&mut self) {
        if let Some(runtime) = self.relay.take() {
            runtime.shutdown_timeout(super::PATIENCE);
        }
    }
}

/// One connection, until either end closes it or `left` bytes were answered.
async fn relayed(
    mut client: TcpStream,
    target: String,
    left: &AtomicU64,
    off: &CancellationToken,
) -> io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let asked = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let answered = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                return to_client.shutdown().await;
            }
            let taken = |left: u64| Some(left.saturating_sub(read as u64));
            let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
            if before.unwrap_or(0) <= read as u64 {
                off.cancel();
                return Ok(());
            }
            to_client.write_all(&buffer[..read]).await?;
        }
    };
    tokio::try_join!(asked, answered).map(drop)
}
