//! The owner-only API on the control socket: what the command line asks a running server.
//!
//! Whoever may open the socket owns the data folder, so nothing here asks for a token. The
//! socket is made anew at each start and removed when the server stops.

pub mod accounts;
pub mod answers;
pub mod blocks;
pub mod body;
pub mod events;
pub mod holds;
pub mod hooks;
pub mod messages;
pub mod missing;
pub mod operations;
pub mod registries;
pub mod socket;
pub mod status;
pub mod sync;
pub mod tasks;
