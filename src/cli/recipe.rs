//! A TOML recipe says the same as the flags: `min-sqnr = 20` is `--min-sqnr 20`, a list repeats its flag, `true` is the
//! bare flag. A key whose flag is given, or which contradicts one that is, is passed over: flags win.

use std::ffi::OsString;
use std::path::Path;

use crate::error::{Error, Result};
use crate::names;

/// Replaces `--recipe FILE` by the flags that the file says.
pub(super) fn expand(args: Vec<OsString>) -> Result<Vec<OsString>> {
    let Some((file, given)) = split(&args) else { return Ok(args) };
    if split(&given).is_some() {
        return Err(Error::usage("--recipe is given twice: one file says it all"));
    }
    let mut command = super::command();
    // So that subcommands have the flags that all share.
    command.build();
    let called = |a: &OsString| command.find_subcommand(a);
    let Some((at, subcommand)) = given.iter().enumerate().skip(1).find_map(|(i, a)| Some((i, called(a)?))) else {
        return Ok(args);
    };
    if !subcommand.get_arguments().any(|a| a.get_long() == Some("recipe")) {
        return Ok(args);
    }
    let path = Path::new(&file);
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let flags = flags(&text, subcommand, &given[at + 1..]).map_err(|e| e.in_file(path))?;
    Ok([&given[..=at], &flags, &given[at + 1..]].concat())
}

/// The file that `--recipe` names, and the other arguments.
fn split(args: &[OsString]) -> Option<(OsString, Vec<OsString>)> {
    let at = args.iter().position(|a| a.to_str().is_some_and(|a| a == "--recipe" || a.starts_with("--recipe=")))?;
    let (file, used) = match args[at].to_str()?.strip_prefix("--recipe=") {
        Some(file) => (file.into(), 1),
        None => (args.get(at + 1)?.clone(), 2),
    };
    Some((file, [&args[..at], &args[at + used..]].concat()))
}

/// The flags of `text` for `command`, but for those that `given` says itself.
fn flags(text: &str, command: &clap::Command, given: &[OsString]) -> Result<Vec<OsString>> {
    let wrong = |e: toml::de::Error| Error::usage(e.message().replace('\n', " "));
    let table: toml::Table = toml::from_str(text).map_err(wrong)?;
    let says = |key: &str| {
        let flag = format!("--{key}");
        given.iter().filter_map(|a| a.to_str()).any(|a| a.split('=').next() == Some(&flag))
    };
    let known: Vec<&str> = command.get_arguments().filter_map(|a| a.get_long()).collect();
    let mut flags = Vec::new();
    for (key, value) in table {
        if !known.contains(&key.as_str()) || key == "recipe" {
            let nearest = names::nearest(&key, known.iter().copied());
            let nearest = nearest.map_or(String::new(), |k| format!("; did you mean \"{k}\"?"));
            return Err(Error::usage(format!("unknown key \"{key}\"{nearest}")));
        }
        if says(&key) {
            continue;
        }
        let before = flags.len();
        let values = if let toml::Value::Array(list) = value { list } else { vec![value] };
        for value in values {
            let text = match value {
                toml::Value::Boolean(on) if is_switch(command, &key) => {
                    if on {
                        flags.push(format!("--{key}").into());
                    }
                    continue;
                }
                // Said to a flag with values it is one that the flag does not take, and so told.
                toml::Value::Boolean(on) => on.to_string(),
                toml::Value::String(s) => s,
                toml::Value::Integer(n) => n.to_string(),
                toml::Value::Float(x) => x.to_string(),
                other => return Err(Error::usage(format!("key \"{key}\" holds a {}", other.type_str()))),
            };
            let flag = OsString::from(format!("--{key}={text}"));
            valid(command, &flag)?;
            flags.push(flag);
        }
        if flags[before..].iter().any(|flag| contradicts(command, given, flag)) {
            flags.truncate(before);
        }
    }
    Ok(flags)
}

/// Whether the command line says what cannot be said together with `flag`.
fn contradicts(command: &clap::Command, given: &[OsString], flag: &OsString) -> bool {
    let conflict = |more: Option<&OsString>| {
        let name = OsString::from(command.get_name());
        let said = std::iter::once(&name).chain(given).chain(more);
        let parsed = command.clone().try_get_matches_from(said);
        parsed.is_err_and(|e| e.kind() == clap::error::ErrorKind::ArgumentConflict)
    };
    conflict(Some(flag)) && !conflict(None)
}

/// Whether the flag stands without a value.
fn is_switch(command: &clap::Command, key: &str) -> bool {
    let of = command.get_arguments().find(|a| a.get_long() == Some(key));
    of.is_some_and(|a| !a.get_action().takes_values())
}

/// Whether the value of `flag` is one that `command` takes, told by itself so that the recipe is named.
fn valid(command: &clap::Command, flag: &OsString) -> Result<()> {
    use clap::error::ErrorKind::{InvalidValue, ValueValidation};
    let alone = [OsString::from(command.get_name()), flag.clone()];
    match command.clone().try_get_matches_from(alone) {
        Err(e) if matches!(e.kind(), InvalidValue | ValueValidation) => {
            let text = e.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(Error::usage(first.strip_prefix("error: ").unwrap_or(first)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_optimize(text: &str, given: &[&str]) -> Result<Vec<OsString>> {
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        let mut command = super::super::command();
        command.build();
        flags(text, command.find_subcommand("optimize").unwrap(), &given)
    }

    #[test]
    fn a_recipe_becomes_flags_and_mistyped_keys_are_told() {
        let f = of_optimize("min-sqnr = 20.5\nexclude = [\"a\", \"b\"]\nplan = true", &[]).unwrap();
        assert_eq!(f, ["--exclude=a", "--exclude=b", "--min-sqnr=20.5", "--plan"]);
        let error = of_optimize("min-sqrn = 20", &[]).unwrap_err();
        assert_eq!(error.to_string(), "unknown key \"min-sqrn\"; did you mean \"min-sqnr\"?");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn flags_win_over_what_contradicts_them() {
        assert_eq!(of_optimize("tune = \"latency\"", &["m.onnx", "--optimize-for=size"]).unwrap(), [""; 0]);
        assert_eq!(of_optimize("no-quantize = true", &["m.onnx", "--quantize", "int8"]).unwrap(), [""; 0]);
        assert_eq!(of_optimize("weights = \"s4\"", &["m.onnx", "--no-quantize"]).unwrap(), [""; 0]);
        assert_eq!(of_optimize("sparsity = 0.5", &["m.onnx", "--target-macs", "0.5"]).unwrap(), [""; 0]);
        assert_eq!(of_optimize("sparsity = 0.5", &["m.onnx", "--weights", "s4"]).unwrap(), ["--sparsity=0.5"]);
        assert_eq!(of_optimize("quiet = true\nort-lib = \"l\"", &[]).unwrap(), ["--ort-lib=l", "--quiet"]);
    }

    #[test]
    fn a_wrong_value_is_told_with_its_key() {
        let error = of_optimize("min-sqnr = \"much\"", &[]).unwrap_err();
        assert_eq!(error.to_string(), "invalid value 'much' for '--min-sqnr <DB>': it is no finite number");
        assert!(
            of_optimize("weights = \"s9\"", &[])
                .unwrap_err()
                .to_string()
                .starts_with("invalid value 's9' for '--weights")
        );
    }

    #[test]
    fn true_and_false_are_for_flags_without_a_value() {
        assert!(of_optimize("plan = false", &[]).unwrap().is_empty());
        for text in ["smooth = true", "reduce-range = false"] {
            let error = of_optimize(text, &[]).unwrap_err().to_string();
            assert!(error.starts_with("invalid value '") && error.contains(&text[..6]), "{error}");
        }
    }

    #[test]
    fn flags_win() {
        let f = of_optimize("min-sqnr = 20\nexclude = \"a\"", &["--exclude", "b", "--min-sqnr=30"]).unwrap();
        assert!(f.is_empty(), "{f:?}");
    }

    #[test]
    fn the_file_is_found_in_either_form() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let rest = args(&["onnxpress", "-v", "optimize", "m.onnx"]);
        assert_eq!(
            split(&args(&["onnxpress", "-v", "optimize", "m.onnx", "--recipe=r"])),
            Some(("r".into(), rest.clone()))
        );
        assert_eq!(split(&args(&["onnxpress", "-v", "optimize", "--recipe", "r", "m.onnx"])), Some(("r".into(), rest)));
    }
}
