//! The upstream: Verdaccio without an uplink, over what was prepared.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::repository;
use crate::harness::until;

/// A running Verdaccio; it ends with its value.
pub struct Verdaccio {
    child: Child,
    address: SocketAddr,
}

impl Verdaccio {
    /// Starts it over a prepared folder and waits until it answers.
    pub async fn start(folder: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("a bound socket");
        drop(free);
        let child = Command::new(repository().join("scripts/clients/verdaccio"))
            .arg(folder)
            .arg(address.port().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Verdaccio starts");
        until("Verdaccio", || async { TcpStream::connect(address).ok() }).await;
        Self { child, address }
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Ends it: from now on the mirror is alone.
    pub fn stop(&mut self) {
        // An error means that it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Verdaccio {
    fn drop(&mut self) {
        self.stop();
    }
}
