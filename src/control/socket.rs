//! The socket file: owner-only from its first moment, and never a stale one.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Owner only.
const MODE: u32 = 0o600;

/// A listening socket whose file goes away with it.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
}

impl ControlSocket {
    /// Binds under another name, closes the file to others, and only then moves it to `path`:
    /// nobody can connect before that, and what a killed server left there is replaced.
    ///
    /// # Errors
    /// When the folder cannot be written or the path is too long for a socket.
    pub fn bind(path: &Path) -> io::Result<(Self, UnixListener)> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(MODE))?;
        fs::rename(&new, path)?;
        listener.set_nonblocking(true)?;
        Ok((Self { path: path.to_owned() }, listener))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the control socket stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_is_owner_only_replaces_a_stale_one_and_leaves_with_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("espejo.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(UnixStream::connect(&path).is_err(), "stale");
        let (socket, _listener) = ControlSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert!(UnixStream::connect(&path).is_ok());
        drop(socket);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
