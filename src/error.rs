//! What can go wrong, where, and with which exit code.
//!
//! An error reads as one line: file, node, tensor, what was wrong, what to do.

use std::fmt::{self, Write};
use std::path::PathBuf;

/// What may fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which kind of wrong; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line or the recipe asks for something that does not exist. Exit code 2.
    Usage,
    /// A file (model, data, ranges) is broken or does not fit. Exit code 3.
    Input,
    /// Reading or writing a file did not work. Exit code 3.
    Io,
    /// The runtime cannot run the model. Exit code 4.
    Runtime,
    /// An invariant of ours does not hold: a defect of onnxpress. Exit code 70.
    Internal,
}

/// An error that names its place. Build with [`Error::input`] and friends, then add the place.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    file: Option<PathBuf>,
    node: Option<String>,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `message` is one line in the user's own names and units.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, file: None, node: None, message: message.into(), source: None }))
    }

    /// What was asked for cannot be: flags, names, values.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A file that cannot be read, or does not fit.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// A model that a runtime does not load or run.
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Runtime, message)
    }

    /// A mistake of this program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// An operation on `file` that the system refused.
    pub fn io(file: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let message = source.to_string();
        Self::new(ErrorKind::Io, message).in_file(file).caused_by(source)
    }

    /// Names the file; the innermost one wins.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.0.file.get_or_insert_with(|| file.into());
        self
    }

    /// Names the node, as `"conv_7" (Conv)`; the innermost one wins.
    #[must_use]
    pub fn at_node(mut self, node: impl fmt::Display) -> Self {
        self.0.node.get_or_insert_with(|| node.to_string());
        self
    }

    /// With the error that it follows from, for [`std::error::Error::source`].
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says at the end what to do.
    #[must_use]
    pub fn with_advice(mut self, advice: &str) -> Self {
        self.0.message = format!("{}; {advice}", self.0.message);
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What the command line ends with.
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            ErrorKind::Usage => 2,
            ErrorKind::Input | ErrorKind::Io => 3,
            ErrorKind::Runtime => 4,
            ErrorKind::Internal => 70,
        }
    }
}

/// Escapes what would break the line or drive the terminal: names come from files.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = OneLine(f);
        if let Some(file) = &self.0.file {
            write!(line, "{}: ", file.display())?;
        }
        if let Some(node) = &self.0.node {
            write!(line, "node {node}: ")?;
        }
        line.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| e.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_file_node_and_reason() {
        let error = Error::input("input 1 \"w7\" has rank 3, not 4").at_node("\"conv_7\" (Conv)").in_file("m.onnx");
        assert_eq!(error.to_string(), "m.onnx: node \"conv_7\" (Conv): input 1 \"w7\" has rank 3, not 4");
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn control_characters_of_names_are_escaped() {
        let error = Error::input("tensor \"a\r\n\u{1b}[31mb\u{2028}\" ü").at_node("n\0").in_file("d\nm.onnx");
        assert_eq!(error.to_string(), r#"d\nm.onnx: node n\u{0}: tensor "a\r\n\u{1b}[31mb\u{2028}" ü"#);
    }

    #[test]
    fn innermost_place_wins() {
        let error = Error::runtime("no").in_file("a").in_file("b");
        assert_eq!(error.to_string(), "a: no");
    }
}
