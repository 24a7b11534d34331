//! `onnxpress completions SHELL` and `onnxpress man [SUBCOMMAND]`.

use std::io;

use clap_complete::Shell;

use super::Done;
use crate::error::{Error, Result};

#[derive(clap::Args)]
pub struct Args {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let mut command = super::command();
    clap_complete::generate(args.shell, &mut command, "onnxpress", &mut io::stdout());
    Ok(Done::Well)
}

#[derive(clap::Args)]
pub struct ManArgs {
    /// The subcommand whose page is wanted; the page of onnxpress itself where none is named
    subcommand: Option<String>,
}

pub(super) fn man(args: &ManArgs) -> Result<Done> {
    let mut command = super::command();
    command.build();
    let page = match &args.subcommand {
        None => command,
        Some(name) => {
            let missing = || Error::usage(format!("there is no subcommand \"{name}\""));
            let found = command.find_subcommand(name).ok_or_else(missing)?;
            found.clone().name(format!("onnxpress-{name}"))
        }
    };
    let written = clap_mangen::Man::new(page).render(&mut io::stdout());
    written.map_err(|e| Error::io("standard output", e))?;
    Ok(Done::Well)
}
