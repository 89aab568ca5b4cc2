//! What the service manager is told: that probes are attached, and that the run ends
//! (`sd_notify(3)`).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable with the address of the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All probes are attached.
    Ready,
    /// The run is about to end.
    Stopping,
}

impl State {
    const fn message(self) -> &'static str {
        match self {
            State::Ready => "READY=1\n",
            State::Stopping => "STOPPING=1\n",
        }
    }
}

/// Tells the service manager, if it waits to be told. That it cannot be told is a warning: the run
/// goes on.
pub fn notify(state: State) {
    if let Some(address) = env::var_os(SOCKET).filter(|address| !address.is_empty())
        && let Err(error) = send(&address, state)
    {
        eprintln!("WARNING: cannot tell the service manager at {}: {error}", address.display());
    }
}

/// Sends to the socket at a path, or one without a path whose name follows an `@`.
fn send(address: &OsStr, state: State) -> io::Result<()> {
    let address = match address.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.message().as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn messages_arrive_at_both_kinds_of_socket() {
        let name = format!("rbtrace-systemd-{}", std::process::id());
        let path = env::temp_dir().join(&name);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        send(path.as_os_str(), State::Ready).expect("sent");
        assert_eq!(received(&socket), "READY=1\n");
        std::fs::remove_file(&path).expect("the socket's file");

        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        send(OsStr::new(&format!("@{name}")), State::Stopping).expect("sent");
        assert_eq!(received(&socket), "STOPPING=1\n");
        drop(socket);
        assert!(send(OsStr::new(&format!("@{name}")), State::Ready).is_err());
    }
}
