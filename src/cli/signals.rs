//! Ctrl-C and SIGTERM: once stops cleanly, twice stops at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{exit::Exit, problem::Problem};

/// Tells of the first interrupt; the second one ends the process.
pub struct Interrupts {
    first: UnboundedReceiver<()>,
}

impl Interrupts {
    /// Listens from now on; must be called inside a runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> Result<Self, Problem> {
        let refused = |error| Problem::failed("cannot listen for Ctrl-C").why(error);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let (tell, first) = unbounded_channel();
        tokio::spawn(async move {
            let mut seen = 0_u32;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                seen += 1;
                if seen > 1 {
                    std::process::exit(i32::from(Exit::Interrupted.number()));
                }
                // Nobody waits any more: the command is ending already.
                let _ = tell.send(());
            }
        });
        Ok(Self { first })
    }

    /// The first interrupt.
    pub async fn next(&mut self) {
        if self.first.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
