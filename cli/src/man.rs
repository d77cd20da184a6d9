//! `latentwire man`: the manual page, and one for every command.

use std::{io, path::Path};

use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{
    args::{Cli, ManArgs},
    failure::{Exit, Failure},
    terminal::Terminal,
    whole_file::WholeFile,
};

/// Prints the page of `latentwire`, or writes all pages to a folder.
///
/// # Errors
/// Standard output or the folder cannot be written.
pub fn man(args: &ManArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    match &args.output {
        None => terminal.write(&page(&root).map_err(internal)?)?,
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
            write_all(&root, folder, terminal)?;
        }
    }
    Ok(Exit::Done)
}

fn write_all(command: &Command, folder: &Path, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let target = folder.join(format!("{}.1", page_name(command)));
    WholeFile::write_all(&target, &page(command).map_err(internal)?)?;
    if !terminal.quiet() {
        terminal.print(&format!("{}\n", target.display()))?;
    }
    command.get_subcommands().try_for_each(|child| write_all(child, folder, terminal))
}

fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn internal(error: io::Error) -> Failure {
    Failure::internal(error.to_string())
}

/// One page: clap's sections, then ours out of what stands below the help.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let version = concat!("latentwire ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(version).manual("Latentwire");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut roff = Roff::new();
    sections(&below, &mut roff);
    if page_name(command) != "latentwire" {
        roff.control("SH", ["SEE ALSO"]).text([roman("latentwire(1), which lists the exit codes")]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// `Heading:` begins a section; indented lines stand as they are, the others are prose.
fn sections(below: &str, roff: &mut Roff) {
    let mut literal = false;
    for line in below.lines() {
        let indented = line.starts_with("  ");
        if indented != literal && !line.is_empty() {
            literal = indented;
            if indented {
                roff.control("nf", [])
            } else {
                roff.control("fi", [])
            };
        }
        match line.strip_suffix(':').filter(|_| !indented) {
            Some("Exit codes") => roff.control("SH", ["EXIT STATUS"]),
            Some(heading) => roff.control("SH", [heading.to_uppercase().as_str()]),
            None if line.is_empty() => roff.control("PP", []),
            None => roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]),
        };
    }
    if literal {
        roff.control("fi", []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples_and_no_line_that_troff_would_obey() {
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        let mut commands = vec![root];
        while let Some(command) = commands.pop() {
            let text = String::from_utf8(page(&command).expect("a page")).expect("text");
            assert!(text.contains(".TH ") && text.contains(".SH SYNOPSIS"), "{text}");
            if !command.has_subcommands() {
                assert!(text.contains(".SH EXAMPLES\n.nf\n"), "{text}");
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
