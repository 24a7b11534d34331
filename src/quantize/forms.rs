//! What the forms hold of what is asked for: where that contradicts itself it is an error, where it is stored as something else a note.

use super::options::{Activations, Format, Granularity, QuantOptions, Weights};
use super::params::QType;
use super::storage;
use crate::error::{Error, Result};
use crate::target::Preset;

/// # Errors
/// Usage, for what the form cannot do.
pub(super) fn check(options: &QuantOptions, preset: &Preset) -> Result<()> {
    let format = options.effective_format();
    let computes = matches!(format, Format::Qdq | Format::Qoperator | Format::Integer);
    let wide = options.activation_type().bits() > 8;
    let other_weights = options.weights.name() != preset.weights && options.weights != Weights::F16;
    let wrong = if wide && matches!(format, Format::Qoperator | Format::Integer) {
        format!("the {format} form has no activations of 16 bits: the qdq form has (--format qdq)")
    } else if format == Format::Dynamic && options.activations != Activations::U8 {
        format!("the {format} form finds u8 at every call: leave --activations {} out", options.activations)
    } else if format == Format::Half && other_weights {
        format!("--activations f16 makes weights float16, too: leave --weights {} out", options.weights)
    } else if let Some(flag) = options.insists_on_data().filter(|_| !computes) {
        format!("{flag} is for activations with scales; the {format} form has none")
    } else {
        return Ok(());
    };
    Err(Error::usage(wrong))
}

/// What the form makes of the wanted weight type and granularity, where it is something else; mends `options` where a runtime has it not.
pub(super) fn stored_otherwise(options: &mut QuantOptions, preset: &Preset) -> Vec<String> {
    let (format, mut notes) = (options.effective_format(), Vec::new());
    let unsigned = options.weight_type().wide() == QType::U8;
    if format == Format::Qoperator && options.activations == Activations::S8 && unsigned {
        let signed = match options.weights {
            Weights::U4 => Weights::S4,
            Weights::U3 => Weights::S3,
            Weights::U2 => Weights::S2,
            _ => Weights::S8,
        };
        notes.push(format!(
            "no runtime has QLinear operators of s8 activations and {} weights: the weights are {signed}",
            options.weights
        ));
        options.weights = signed;
    }
    let dtype = options.weight_type();
    if let Granularity::Block(_) = options.granularity
        && format != Format::WeightOnly
    {
        notes.push(format!("the {format} form has one scale per channel, not per block: blocks are for weights alone"));
    }
    let packed = storage::is_packed(options, preset) || preset.n_bits && format == Format::WeightOnly;
    if dtype.is_narrow() && !packed {
        let who = if preset.narrow_weights { format!("the {format} form") } else { preset.name.to_string() };
        notes.push(format!("{who} reads no weights below 8 bits: levels of {} are stored in 8", dtype.name()));
    } else if dtype.bits() == 3 {
        notes.push("levels of 3 bits are stored in 4: the standard has no 3-bit integers".into());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::Switch;
    use crate::target;

    #[test]
    fn what_a_form_cannot_do_is_said_by_the_flag_that_asks_for_it() {
        type Asked<'a> = &'a dyn Fn(&mut QuantOptions);
        let said = |of: Asked| {
            let mut options = QuantOptions::default();
            of(&mut options);
            check(&options, target::default()).err().map(|e| (e.exit_code(), e.to_string()))
        };
        assert_eq!(said(&|_| ()), None);
        assert_eq!(said(&|o| o.activations = Activations::U16), None);
        let cases: [(Asked, &str); 5] = [
            (&|o| (o.activations, o.format) = (Activations::U16, Format::Integer), "16 bits"),
            (&|o| (o.activations, o.format) = (Activations::S8, Format::Dynamic), "--activations s8"),
            (&|o| (o.activations, o.weights) = (Activations::F16, Weights::S4), "--weights s4"),
            (&|o| (o.smooth, o.format) = (Switch::On, Format::WeightOnly), "--smooth on"),
            (&|o| (o.tune, o.format) = (Switch::On, Format::Dynamic), "--tune latency"),
        ];
        for (of, part) in cases {
            let (code, message) = said(of).unwrap();
            assert!(code == 2 && message.contains(part), "{message}");
        }
    }

    #[test]
    fn unsigned_weights_beside_signed_activations_become_signed() {
        let mut options = QuantOptions {
            format: Format::Qoperator,
            activations: Activations::S8,
            weights: Weights::U4,
            ..QuantOptions::default()
        };
        let notes = stored_otherwise(&mut options, target::default());
        assert_eq!((options.weights, notes.len()), (Weights::S4, 2), "{notes:?}");
    }
}
