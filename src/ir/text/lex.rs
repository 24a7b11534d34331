//! The cursor over the text: blanks, comments, names, literals, and errors that say where.

use crate::error::{Error, Result};

/// How deep graphs and types may nest, so that a hostile text cannot exhaust the stack.
const MAX_DEPTH: usize = 64;

pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

#[derive(Debug, PartialEq)]
pub(super) enum Literal<'t> {
    Int(&'t str),
    Float(&'t str),
    String(String),
}

/// An error at byte `at` of `text`: `line:column: message`, columns in characters.
pub(super) fn error_at(text: &str, at: usize, message: impl std::fmt::Display) -> Error {
    let before = &text[..at.min(text.len())];
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Error::input(format!("{line}:{column}: {message}"))
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str) -> Self {
        Cursor { text, at: 0, depth: 0 }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// Moves over blanks and `# …` to the end of the line.
    fn skip(&mut self) {
        while let Some(b) = self.byte(0) {
            match b {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'#' => self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at),
                _ => break,
            }
        }
    }

    /// Where the next token begins.
    pub fn place(&mut self) -> usize {
        self.skip();
        self.at
    }

    pub fn peek(&mut self) -> Option<u8> {
        self.skip();
        self.byte(0)
    }

    pub fn eat(&mut self, token: &str) -> bool {
        self.skip();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub fn expect(&mut self, token: &str) -> Result<()> {
        if self.eat(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    /// `what` was expected, something else is there.
    pub fn expected(&mut self, what: &str) -> Error {
        self.skip();
        let found = match self.text[self.at..].chars().next() {
            None => "the end of the text".to_string(),
            Some(_) => match self.peek_word() {
                Some(word) => format!("`{word}`"),
                None => format!("`{}`", self.text[self.at..].chars().take(1).collect::<String>()),
            },
        };
        self.error(format!("expected {what}, found {found}"))
    }

    /// An error at the next token.
    pub fn error(&mut self, message: impl std::fmt::Display) -> Error {
        let at = self.place();
        error_at(self.text, at, message)
    }

    pub fn error_at(&self, at: usize, message: impl std::fmt::Display) -> Error {
        error_at(self.text, at, message)
    }

    /// Runs `inner` one level deeper.
    pub fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("nests deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// The identifier ahead, without moving over it.
    pub fn peek_word(&mut self) -> Option<&'t str> {
        self.skip();
        let text = self.text;
        let rest = &text[self.at..];
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let length = rest.bytes().take_while(|b| word(*b)).count();
        if length == 0 || rest.as_bytes()[0].is_ascii_digit() { None } else { Some(&rest[..length]) }
    }

    pub fn word(&mut self) -> Option<&'t str> {
        let word = self.peek_word()?;
        self.at += word.len();
        Some(word)
    }

    /// An identifier, or any text in quotes.
    pub fn name(&mut self) -> Result<Option<String>> {
        if self.peek() == Some(b'"') {
            return self.string().map(Some);
        }
        Ok(self.word().map(str::to_string))
    }

    pub fn expect_name(&mut self, what: &str) -> Result<String> {
        self.name()?.ok_or_else(|| self.expected(what))
    }

    /// Text in quotes, in which `\` takes the next character as it is.
    pub fn string(&mut self) -> Result<String> {
        let start = self.place();
        self.expect("\"")?;
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, c)) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err(self.error_at(start, "this string has no closing quote"))
    }

    /// A number or a string.
    pub fn literal(&mut self) -> Result<Literal<'t>> {
        if self.peek() == Some(b'"') {
            return Ok(Literal::String(self.string()?));
        }
        let text = self.text;
        let from = self.at;
        let sign = usize::from(self.byte(0) == Some(b'-'));
        let rest = &text.as_bytes()[from + sign..];
        let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        if letters > 0 {
            let word = text[from + sign..][..letters].to_ascii_lowercase();
            if matches!(word.as_str(), "nan" | "inf" | "infinity") {
                self.at += sign + letters;
                return Ok(Literal::Float(&text[from..self.at]));
            }
            return Err(self.expected("a value"));
        }
        let digits = |i: usize| rest[i.min(rest.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut length = digits(0);
        if length == 0 {
            return Err(self.expected("a value"));
        }
        let mut float = false;
        if rest.get(length) == Some(&b'.') {
            float = true;
            length += 1 + digits(length + 1);
        }
        if matches!(rest.get(length), Some(b'e' | b'E')) {
            float = true;
            length += 1 + usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
            length += digits(length);
        }
        self.at += sign + length;
        let number = &text[from..self.at];
        Ok(if float { Literal::Float(number) } else { Literal::Int(number) })
    }

    /// A number of type `T`.
    pub fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        let at = self.place();
        match self.literal()? {
            Literal::Int(text) | Literal::Float(text) => {
                text.parse().map_err(|_| self.error_at(at, format!("`{text}` is not {what}")))
            }
            Literal::String(_) => Err(self.error_at(at, format!("a string is not {what}"))),
        }
    }

    /// `item` once or more, separated by commas, up to `close`; the opening is eaten already.
    pub fn list(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if self.eat(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.eat(",") {
                return self.expect(close);
            }
        }
    }

    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }
}
