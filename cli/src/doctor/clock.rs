//! Whether this machine's clock can be right: keys have validities, and audit trails have moments.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use super::Finding;
use crate::trust::shown;

/// Difference to a peer that somebody should look at.
const WORTH_A_LOOK: Duration = Duration::from_secs(5);
/// Difference at which validities and audit trails mean nothing any more.
const WRONG: Duration = Duration::from_secs(300);
/// A program is not used for longer than this; a clock that says so has lost its battery the other way round.
const OLDEST_PROGRAM: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
/// A program may come from a time zone that is ahead.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a peer's answer says about the time.
#[derive(Clone, Debug)]
pub struct PeerClock {
    /// Who answered.
    pub peer: String,
    /// The `date` of its answer, whole seconds.
    pub said: SystemTime,
    /// When the question went out.
    pub asked: SystemTime,
    /// When the answer was in.
    pub answered: SystemTime,
}

impl PeerClock {
    /// How far this machine's clock is from the peer's; the peer's moment lies within a second that ended after the question
    /// and began before the answer.
    #[must_use]
    pub fn difference(&self) -> Duration {
        let said_until = self.said + Duration::from_secs(1);
        let ahead = self.asked.duration_since(said_until).unwrap_or_default();
        let behind = self.said.duration_since(self.answered).unwrap_or_default();
        ahead.max(behind)
    }

    fn finding(&self) -> Finding {
        let difference = self.difference();
        let message = format!("this clock and that of {} differ by {} s", self.peer, difference.as_secs());
        let advice = "synchronise both machines (timedatectl set-ntp true); keys and records go by the clock";
        if difference >= WRONG {
            Finding::fail("clock", message, advice)
        } else if difference >= WORTH_A_LOOK {
            Finding::warn("clock", message, advice)
        } else {
            Finding::ok("clock", format!("agrees with {}", self.peer))
        }
    }
}

/// What this machine's clock says against its own program and against its peers.
#[must_use]
pub fn findings(peers: &[PeerClock]) -> Vec<Finding> {
    let program = std::env::current_exe().and_then(std::fs::metadata).and_then(|program| program.modified());
    let mut findings = vec![against_program(SystemTime::now(), program.ok())];
    findings.extend(peers.iter().map(PeerClock::finding));
    findings
}

fn against_program(now: SystemTime, program: Option<SystemTime>) -> Finding {
    let text = shown(OffsetDateTime::from(now).replace_nanosecond(0).unwrap_or_else(|_| now.into()));
    let advice = "set the clock (timedatectl set-ntp true); keys and records go by it";
    let program = program.unwrap_or(SystemTime::UNIX_EPOCH);
    if now + DAY < program {
        return Finding::fail("clock", format!("it is {text}, before this program was made"), advice);
    }
    if program > SystemTime::UNIX_EPOCH && now > program + OLDEST_PROGRAM {
        return Finding::warn("clock", format!("it is {text}, decades after this program was made"), advice);
    }
    Finding::ok("clock", format!("it is {text}"))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_clock_differs_only_where_the_answers_second_cannot_explain_it() {
        let at = |seconds: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1e9 + seconds);
        let clock = |said: f64, asked: f64, answered: f64| PeerClock {
            peer: "peer".to_owned(),
            said: at(said),
            asked: at(asked),
            answered: at(answered),
        };
        assert_eq!(clock(10.0, 10.9, 11.2).difference(), Duration::ZERO);
        assert_eq!(clock(10.0, 2.0, 30.0).difference(), Duration::ZERO, "a slow answer proves nothing");
        assert_eq!(clock(10.0, 21.0, 21.1).difference(), Duration::from_secs(10));
        assert_eq!(clock(421.0, 20.9, 21.0).finding().level, Level::Fail);
        assert_eq!(clock(31.0, 20.9, 21.0).finding().level, Level::Warn);
    }

    #[test]
    fn a_clock_before_the_program_is_wrong() {
        let program = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(against_program(SystemTime::UNIX_EPOCH, Some(program)).level, Level::Fail);
        assert_eq!(against_program(program + DAY, Some(program)).level, Level::Ok);
        assert_eq!(against_program(program + OLDEST_PROGRAM + DAY, Some(program)).level, Level::Warn);
        assert_eq!(against_program(program, None).level, Level::Ok);
    }
}
