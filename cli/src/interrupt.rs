//! Ctrl-C and SIGTERM: the command under way is dropped, so that nothing half-written stays, and the process says so.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Exit, Failure};

/// The signals that end a command.
pub struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// From now on, the two signals are waited for instead of killing the process.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::internal(error.to_string()));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one of the signals; gives what the process ends with.
    pub async fn wait(&mut self) -> Exit {
        tokio::select! {
            _received = self.interrupt.recv() => Exit::Interrupted,
            _received = self.terminate.recv() => Exit::Terminated,
        }
    }
}

/// Runs a command until it ends or a signal comes.
///
/// # Errors
/// The command's own, or that it was interrupted.
pub async fn or<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut interrupt = Interrupt::listen()?;
    tokio::select! {
        ended = command => ended,
        exit = interrupt.wait() => Err(Failure::interrupted(exit)),
    }
}
