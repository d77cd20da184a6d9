//! The command line: every command, flag and default; one file a family of commands.

mod audit;
mod callers;
mod certs;
mod doctor;
mod images;
mod keys;
mod local;
mod policy;
mod send;
mod storage;
mod trust;
mod value;

use clap::{
    ArgAction, Args, ColorChoice, Command as Parser_, CommandFactory, Parser, Subcommand, ValueEnum,
    builder::{StyledStr, Styles},
};

pub use audit::{AuditCommand, ExportArgs, ExportFormat, KeygenArgs, VerifyArgs};
pub use callers::{AddCallerArgs, CallersCommand, CallersFileArgs, RemoveCallerArgs, TokenArgs};
pub use certs::{CertsCommand, DevArgs};
pub use doctor::{DoctorArgs, RoleArg};
pub use images::{GetArgs, ListArgs, WatchArgs, What};
pub use keys::{GenerateArgs, KeysCommand, RotateArgs, ShowArgs};
pub use local::{CompletionsArgs, ContactSheetArgs, HealthArgs, InspectArgs, ManArgs, ModelsArgs, Pair};
pub use policy::{InnerArg, ModalityArg, ModeArg, PolicyArgs, SealingArgs, SegmentArg};
pub use send::SendArgs;
pub use storage::{StorageCommand, StorageGenerateArgs, StorageRotateArgs};
pub use trust::{AddArgs, FormArg, RemoveArgs, RevokeArgs, TrustCommand, TrustFileArgs};
pub use value::{FingerprintArg, Moment, STANDARD_STREAM, TransferId, is_standard_stream};

/// What `latentwire --help` says after the list of commands.
const AFTER_HELP: &str = "\
Examples:
  latentwire keys generate --role sender -o sender.key
  latentwire trust add trust.toml --name clinic-a --key sender.key.pub
  latentwire doctor --role sender --key sender.key
  latentwire send --resume night.jsonl /archive/2026-11-21
  latentwire list
  latentwire get 00112233445566778899aabbccddeeff -o received.dcm

Exit codes:
  0    everything was done: all images delivered, queued, fetched, or would be
  1    an image was rejected, the service refused, or doctor found a fault
  2    the command line is wrong
  3    the service cannot be reached, or went away
  4    a local file, key or model cannot be read or written
  130  interrupted by Ctrl-C (143: by SIGTERM); nothing half-written is left
  141  the reader of the output closed it, as in `latentwire list | head -1`

Conventions:
  Results go to standard output, everything else to standard error.
  Errors are one line: CODE REASON: message.
  --json   one JSON object a line instead of text; an image that failed has
           `error` {code, reason, message}
  --quiet  no notes, progress and tables; what remains is said with each
           command, and errors always
  --color  NO_COLOR=1 and --color=never take colours away, --color=always
           keeps them in a pipe

Latentwire is not a medical device and not for primary diagnosis.";

/// Sends medical images between institutions as encrypted learned features.
#[derive(Debug, Parser)]
#[command(name = "latentwire", version, about, after_help = AFTER_HELP, max_term_width = 110)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// How results are shown.
    #[command(flatten)]
    pub output: OutputArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are shown; the same for every command.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// When to colour: auto (on a terminal, unless NO_COLOR is set), always, or never.
    #[arg(
        long,
        global = true,
        env = "LATENTWIRE_COLOR",
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub color: When,
    /// Leave out notes, progress and tables.
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub quiet: bool,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// In pipes and files too.
    Always,
    /// Nowhere.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make, show and change identity keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Keep the list of peers whose keys are pinned.
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Make and change the key under which receiver-svc keeps images.
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Check and read the audit log of a service.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Keep the list of those who may call the services.
    #[command(subcommand)]
    Callers(CallersCommand),
    /// Make certificates for development.
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Send image files through a running sender-svc.
    ///
    /// Each image is coded, measured, sealed and delivered; the command waits for the receiver's receipt.
    #[command(after_help = send::EXAMPLES)]
    Send(SendArgs),
    /// Fetch a received image from a running receiver-svc.
    #[command(after_help = images::GET_EXAMPLES)]
    Get(GetArgs),
    /// List received images, or sent transfers.
    ///
    /// Images are those that a running receiver-svc holds; transfers are those that a running sender-svc remembers.
    #[command(after_help = images::LIST_EXAMPLES)]
    List(ListArgs),
    /// Show images or transfers as they happen, until Ctrl-C.
    ///
    /// Images are shown when they have arrived at a running receiver-svc, transfers whenever one of a running sender-svc
    /// changes.
    #[command(after_help = images::WATCH_EXAMPLES)]
    Watch(WatchArgs),
    /// List models and whether they load.
    ///
    /// Reads a folder of models, checks every digest and loads every net; or asks a running sender-svc.
    #[command(after_help = local::MODELS_EXAMPLES)]
    Models(ModelsArgs),
    /// Do everything that sending does but the network.
    ///
    /// Parses, chooses model and mode, encodes, codes, decodes and measures, by the same policy as `send`.
    #[command(after_help = local::INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Check this machine and its peers, and say what to do.
    ///
    /// Checks ONNX Runtime, models, ports and clock; and, where they are named, key, trust store, data folder, services
    /// and peers. In a service's own environment, the service's own settings are checked.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Ask a service whether it serves.
    ///
    /// Asks by grpc.health.v1; what a container's health check runs.
    #[command(after_help = local::HEALTH_EXAMPLES)]
    Health(HealthArgs),
    /// Draw originals beside what was received.
    ///
    /// Draws original, received and eightfold difference side by side into one PNG.
    #[command(after_help = local::CONTACT_SHEET_EXAMPLES)]
    ContactSheet(ContactSheetArgs),
    /// Print a completion script for a shell.
    #[command(after_help = local::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write all pages.
    #[command(after_help = local::MAN_EXAMPLES)]
    Man(ManArgs),
}

/// The command line as `latentwire` itself parses it: with colours where `when` says so.
///
/// [`Cli::command`] is the same without any.
#[must_use]
pub fn styled(when: When) -> Parser_ {
    let choice = match when {
        When::Auto => ColorChoice::Auto,
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    };
    with_bold_headings(Cli::command().color(choice).styles(Styles::styled()))
}

/// What `--color` says, before anything else is parsed: help and usage errors obey it too.
pub fn color_of(arguments: impl Iterator<Item = std::ffi::OsString>) -> When {
    let arguments: Vec<_> = arguments.collect();
    let named = |text: &std::ffi::OsStr| When::from_str(text.to_str().unwrap_or_default(), false).ok();
    let mut chosen = std::env::var_os("LATENTWIRE_COLOR").as_deref().and_then(named);
    for (place, argument) in arguments.iter().enumerate() {
        let text = argument.to_str().unwrap_or_default();
        if text == "--" {
            break;
        }
        let value = match text.strip_prefix("--color=") {
            Some(value) => Some(std::ffi::OsString::from(value)),
            None => (text == "--color").then(|| arguments.get(place + 1).cloned()).flatten(),
        };
        chosen = value.as_deref().and_then(named).or(chosen);
    }
    chosen.unwrap_or_default()
}

/// Examples and exit codes stand below help with headings of our own: they look like clap's.
fn with_bold_headings(mut command: Parser_) -> Parser_ {
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        let heading = command.get_styles().get_header().to_owned();
        let mut styled = StyledStr::new();
        for line in text.lines() {
            let is_heading = line.ends_with(':') && !line.starts_with(' ');
            let line = if is_heading { format!("{heading}{line}{heading:#}\n") } else { format!("{line}\n") };
            styled.push_str(&line);
        }
        command = command.after_help(styled);
    }
    let names: Vec<String> = command.get_subcommands().map(|child| child.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, with_bold_headings);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_examples() {
        Cli::command().debug_assert();
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            if command.has_subcommands() && command.get_name() != "latentwire" {
                continue;
            }
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                examples.starts_with("Examples:\n  ") && examples.contains("\n  latentwire "),
                "{}: {examples}",
                command.get_name()
            );
            assert!(examples.lines().all(|line| line.len() <= 80), "{}: {examples}", command.get_name());
            let (_, codes) = examples.split_once("\nExit codes:\n").unwrap_or_default();
            let codes = codes.lines().take_while(|line| line.starts_with("  "));
            let codes: Vec<_> =
                codes.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
            assert!(codes.starts_with(&[0]) && codes.contains(&2), "{}: {codes:?}", command.get_name());
            let known = |code: &i32| [0, 1, 2, 3, 4, 130, 141].contains(code);
            assert!(codes.is_sorted() && codes.iter().all(known), "{}: {codes:?}", command.get_name());
        }
    }

    #[test]
    fn colour_is_known_before_the_rest_is_parsed() {
        let of = |arguments: &[&str]| color_of(arguments.iter().map(std::ffi::OsString::from));
        assert_eq!(of(&["send", "--color", "never", "--help"]), When::Never);
        assert_eq!(of(&["--color=always"]), When::Always);
        assert_eq!(of(&["--", "--color=always"]), When::Auto);
        assert_eq!(of(&["--color"]), When::Auto);
    }
}
