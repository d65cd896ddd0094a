//! The API that the command line speaks to a running server: on the control socket, and for admins
//! on the registry's own port.
//!
//! Whoever may open the socket owns the data folder, so nothing there asks for a token. The
//! socket is made anew at each start and removed when the server stops. From afar every request
//! needs an admin's token ([`operator`]); what names a path of the server's machine, or ends the
//! server, is on the socket only.

pub mod answers;
pub mod blocks;
pub mod body;
pub mod denials;
pub mod events;
pub mod holds;
pub mod hooks;
pub mod messages;
pub mod missing;
pub mod operate;
pub mod operations;
pub mod operator;
pub mod registries;
pub mod socket;
pub mod status;
pub mod sync;
pub mod tasks;
pub mod walk;
