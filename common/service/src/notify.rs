//! What a service tells the manager that started it (systemd's `Type=notify`): ready, stopping.
//!
//! Outside such a manager (`NOTIFY_SOCKET` is unset) nothing is sent. A message that cannot be sent never ends a service that
//! works; the manager gives up waiting and says so itself.

use sd_notify::NotifyState;

/// Everything is loaded and the ports answer.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// The end has begun: what is under way may finish.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
