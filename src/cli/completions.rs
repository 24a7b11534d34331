//! `onnxpress completions SHELL` and `onnxpress man [SUBCOMMAND]`.

use clap_complete::Shell;

use super::Done;
use super::out::put;
use crate::error::{Error, Result};

#[derive(clap::Args)]
pub struct Args {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let mut command = super::command();
    // It panics where it cannot write: a pipe may be closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "onnxpress", &mut script);
    put!("{}", String::from_utf8_lossy(&script));
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
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).map_err(|e| Error::internal(e.to_string()))?;
    put!("{}", String::from_utf8_lossy(&text));
    Ok(Done::Well)
}
