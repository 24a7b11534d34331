//! `onnxpress completions SHELL` and `onnxpress man`.

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

pub(super) fn man() -> Result<Done> {
    let page = clap_mangen::Man::new(super::command());
    page.render(&mut io::stdout()).map_err(|e| Error::io("standard output", e))?;
    Ok(Done::Well)
}
