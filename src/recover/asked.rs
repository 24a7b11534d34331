//! What the user asks of recovery: how many steps of training, and how large.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::RecoverOptions;
use crate::error::Error;

/// How what was pruned or quantized is trained towards the float model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Recover {
    /// How many steps.
    pub steps: usize,
    /// Learning rate, where it was given.
    pub rate: Option<f64>,
}

impl Recover {
    /// With a seed, and what is not asked for by default.
    pub fn options(self, seed: u64) -> RecoverOptions {
        RecoverOptions { rate: self.rate, seed, ..RecoverOptions::new(self.steps) }
    }

    /// The data that it trains on.
    ///
    /// # Errors
    /// Usage, where there are none.
    pub fn needs<T>(self, data: Option<T>) -> Result<T, Error> {
        data.ok_or_else(|| Error::usage("--recover trains on data: give --data"))
    }
}

impl FromStr for Recover {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::usage(format!("recovery \"{text}\" is not as steps=500 or steps=500,lr=0.001"));
        let (mut steps, mut rate) = (None, None);
        for part in text.split(',') {
            match part.split_once('=').ok_or_else(wrong)? {
                ("steps", n) => steps = n.parse().ok().filter(|n| *n > 0),
                ("lr", x) => rate = Some(x.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(wrong)?),
                _ => return Err(wrong()),
            }
        }
        Ok(Recover { steps: steps.ok_or_else(wrong)?, rate })
    }
}

impl fmt::Display for Recover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "steps={}", self.steps)?;
        self.rate.map_or(Ok(()), |rate| write!(f, ",lr={rate}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_parses_as_it_prints() {
        for text in ["steps=500", "steps=20,lr=0.01"] {
            assert_eq!(text.parse::<Recover>().unwrap().to_string(), text);
        }
        for text in ["500", "steps=0", "lr=0.1", "steps=5,lr=-1"] {
            assert_eq!(text.parse::<Recover>().unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
