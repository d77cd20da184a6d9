//! `latentwire send`: files to a running sender-svc, several at once, one call an image.

mod job;
mod resume;
mod watch;

use std::{collections::BTreeMap, sync::Arc};

use latentwire_service::dial::Connection;
use tokio::task::JoinSet;

use crate::{
    args::{SendArgs, is_standard_stream},
    connect::connect,
    failure::{Exit, Failure},
    interrupt::Interrupt,
    outcome::Outcome,
    paths::{self, Selection, display},
    progress::Bars,
    results::Results,
    terminal::Terminal,
};

use job::{Ended, Job};
use resume::ResumeList;

/// Sends every picture that the command line names, and tells what became of each.
///
/// # Errors
/// Nothing could be sent at all, or the run was interrupted; a rejected image is no error but an [`Exit`].
pub async fn send(args: SendArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    if args.watch {
        return watch::watch(&args, terminal).await;
    }
    let selection = paths::select(&args.paths)?;
    if args.transfer_id.is_some() && selection.files.len() != 1 {
        return Err(Failure::usage("--transfer-id names one transfer: give one file"));
    }
    if args.resume.is_some() && selection.files.iter().any(|file| is_standard_stream(file)) {
        return Err(Failure::usage("--resume cannot find standard input again: name files"));
    }
    selection.tell(terminal);
    let list = args.resume.as_deref().map(|path| ResumeList::open(path, terminal)).transpose()?.map(Arc::new);
    let mut results = Results::new(terminal, args.json, args.report.as_deref())?;
    let channel = match connect("sender-svc", &args.sender, &args.credentials).await {
        Ok(channel) => channel,
        Err(failure) => {
            for file in &selection.files {
                results.add_untold(Outcome::rejected(display(file), None, None, failure.clone()))?;
            }
            return Err(failure);
        }
    };
    let run = Run { channel, args: &args, list };
    let skipped = run.all(selection, &mut results).await?;
    if skipped > 0 {
        let images = if skipped == 1 { "1 image was" } else { &format!("{skipped} images were") };
        results.terminal().note(&format!("{images} delivered before, as the list of --resume says"));
    }
    results.finish()
}

/// One run of the command.
struct Run<'a> {
    channel: Connection,
    args: &'a SendArgs,
    list: Option<Arc<ResumeList>>,
}

impl Run<'_> {
    /// Sends the files, `--parallel` at once; the outcomes are told in the order of the files. Gives how many were skipped.
    async fn all(&self, selection: Selection, results: &mut Results<'_, '_>) -> Result<usize, Failure> {
        let mut interrupt = Interrupt::listen()?;
        let quiet = results.terminal().quiet();
        let count = selection.files.len();
        let bars = Arc::new(Bars::new(count, selection.bytes(), quiet));
        let mut waiting = selection.files.into_iter().enumerate();
        let mut under_way = JoinSet::new();
        let mut ended = BTreeMap::new();
        let (mut next, mut skipped) = (0, 0);
        loop {
            while under_way.len() < usize::from(self.args.parallel) {
                let Some((index, file)) = waiting.next() else { break };
                let job = Job::new(self.args, index, file, self.list.clone())?;
                let (channel, bars) = (self.channel.clone(), Arc::clone(&bars));
                under_way.spawn(async move { (index, job.run(channel, &bars).await) });
            }
            let joined = tokio::select! {
                joined = under_way.join_next() => joined,
                exit = interrupt.wait() => {
                    drop(bars);
                    self.tell_interrupted(next, count, results);
                    return Err(Failure::interrupted(exit));
                }
            };
            let Some(joined) = joined else { break };
            let (index, outcome) = joined.map_err(|error| Failure::internal(error.to_string()))?;
            ended.insert(index, outcome?);
            // In the order of the files, whatever the order of their ends.
            while let Some(outcome) = ended.remove(&next) {
                next += 1;
                match outcome {
                    Ended::Now(outcome) => bars.suspend(|| results.add(*outcome))?,
                    Ended::Before => skipped += 1,
                }
            }
        }
        Ok(skipped)
    }

    fn tell_interrupted(&self, done: usize, count: usize, results: &mut Results<'_, '_>) {
        let what_next = match &self.list {
            Some(_) => "the same command sends the rest",
            None => "with --resume FILE the same command would send the rest",
        };
        results.terminal().note(&format!("interrupted after {done} of {count} images; {what_next}"));
    }
}
