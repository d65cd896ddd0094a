//! Who listens on a port, as far as /proc tells.

use std::{fs, net::SocketAddr};

/// State of a listening socket in /proc/net/tcp.
const LISTENING: &str = "0A";

/// The process that listens on the port of `address`, when it can be known.
#[must_use]
pub fn holder(address: SocketAddr) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| inodes_of(&table, address.port()))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let sockets: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| has_one_of(*id, &sockets))
}

fn inodes_of(table: &str, port: u16) -> Vec<String> {
    let ending = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?;
        let listens = local.ends_with(&ending) && fields.get(3) == Some(&LISTENING);
        if listens { fields.get(9).map(|inode| (*inode).to_owned()) } else { None }
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn has_one_of(id: u32, sockets: &[String]) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{id}/fd")) else { return false };
    open.filter_map(Result::ok)
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| sockets.iter().any(|socket| target.to_str() == Some(socket)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn our_own_listener_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(holder(address), Some(std::process::id()));
        drop(listener);
        assert_eq!(holder(address), None);
    }
}
