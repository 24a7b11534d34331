//! What is printed on standard output: a reader that has gone is no error, a full disk is.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use crate::error::{Error, Result};

/// A line, formatted as by `println!`.
macro_rules! say {
    ($($arg:tt)*) => { $crate::cli::out::write(format_args!("{}\n", format_args!($($arg)*)))? };
}

/// Text as it is, formatted as by `print!`.
macro_rules! put {
    ($($arg:tt)*) => { $crate::cli::out::write(format_args!($($arg)*))? };
}

pub(super) use {put, say};

pub(super) fn write(text: Arguments) -> Result<()> {
    let mut out = anstream::stdout();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("standard output", e)),
        _ => Ok(()),
    }
}
