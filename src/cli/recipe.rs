//! A TOML recipe says the same as the flags: `min-sqnr = 20` is `--min-sqnr 20`, a list repeats its flag, `true` is the
//! bare flag. It is put before the flags that were given, so that those win.

use std::ffi::OsString;
use std::path::Path;

use crate::error::{Error, Result};

/// Replaces `--recipe FILE` by the flags that the file says.
pub(super) fn expand(args: Vec<OsString>) -> Result<Vec<OsString>> {
    let Some(at) = args.iter().position(|a| a == "--recipe") else { return Ok(args) };
    let Some(file) = args.get(at + 1) else { return Ok(args) };
    let path = Path::new(file);
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let given: Vec<OsString> = [&args[..at], &args[at + 2..]].concat();
    let Some(subcommand) = given.get(1).and_then(|s| s.to_str()).map(str::to_string) else { return Ok(args) };
    let flags = flags(&text, &subcommand).map_err(|e| e.in_file(path))?;
    Ok([&given[..2], &flags, &given[2..]].concat())
}

fn flags(text: &str, subcommand: &str) -> Result<Vec<OsString>> {
    let wrong = |e: toml::de::Error| Error::usage(e.message().replace('\n', " "));
    let table: toml::Table = toml::from_str(text).map_err(wrong)?;
    let command = super::command();
    let Some(command) = command.find_subcommand(subcommand) else { return Ok(Vec::new()) };
    let known: Vec<&str> = command.get_arguments().filter_map(|a| a.get_long()).collect();
    let mut flags = Vec::new();
    for (key, value) in table {
        if !known.contains(&key.as_str()) || key == "recipe" {
            let nearest = known.iter().max_by_key(|k| (strsim::jaro_winkler(k, &key) * 1e6) as u64);
            let nearest = nearest.map_or(String::new(), |k| format!("; did you mean \"{k}\"?"));
            return Err(Error::usage(format!("unknown key \"{key}\"{nearest}")));
        }
        let values = if let toml::Value::Array(list) = value { list } else { vec![value] };
        for value in values {
            let text = match value {
                toml::Value::Boolean(false) => continue,
                toml::Value::Boolean(true) => {
                    flags.push(format!("--{key}").into());
                    continue;
                }
                toml::Value::String(s) => s,
                toml::Value::Integer(n) => n.to_string(),
                toml::Value::Float(x) => x.to_string(),
                other => return Err(Error::usage(format!("key \"{key}\" holds a {}", other.type_str()))),
            };
            flags.push(format!("--{key}={text}").into());
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_becomes_flags_and_mistyped_keys_are_told() {
        let f = flags("min-sqnr = 20.5\nexclude = [\"a\", \"b\"]\nplan = true", "optimize").unwrap();
        assert_eq!(f, ["--exclude=a", "--exclude=b", "--min-sqnr=20.5", "--plan"]);
        let error = flags("min-sqrn = 20", "optimize").unwrap_err();
        assert_eq!(error.to_string(), "unknown key \"min-sqrn\"; did you mean \"min-sqnr\"?");
        assert_eq!(error.exit_code(), 2);
    }
}
