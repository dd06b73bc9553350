//! A server that can be switched off: a relay of connections. Switched off it refuses them and
//! cuts those that there are, which is all that a client sees of a server that was stopped.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

pub(crate) struct Proxy {
    /// Where the server is behind it.
    target: String,
    address: SocketAddr,
    relay: Option<Runtime>,
}

impl Proxy {
    /// Of a server at `host:port`; switched off.
    pub(crate) fn of(target: &str) -> Self {
        let address = ([127, 0, 0, 1], super::free_port()).into();
        Self { target: target.to_owned(), address, relay: None }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn switch_on(&mut self) {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(self.address)).unwrap();
        let target = self.target.clone();
        drop(runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.clone();
                connections.spawn(async move {
                    let mut server = TcpStream::connect(target).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        }));
        self.relay = Some(runtime);
    }

    /// Ends the listener and every connection.
    pub(crate) fn switch_off(&mut self) {
        if let Some(runtime) = self.relay.take() {
            runtime.shutdown_timeout(super::PATIENCE);
        }
    }
}
