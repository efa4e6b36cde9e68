//! What stands outside the database, by which a till notices that its rows were exchanged.
//!
//! One line: the installation and the boot, 16 hexadecimal digits each, with a dash between.

use counterfoil_protocol::identity::Witness;

pub(crate) fn text(witness: Witness) -> String {
    format!("{:016x}-{:016x}", witness.install, witness.boot)
}

/// Reads what [`text`] writes; anything else counts as absent, which opens a new epoch: that is
/// always safe.
pub(crate) fn parse(line: &str) -> Option<Witness> {
    let (install, boot) = line.split_once('-')?;
    let number = |hex: &str| u64::from_str_radix(hex, 16).ok();
    let witness = Witness { install: number(install)?, boot: number(boot)? };
    (text(witness) == line).then_some(witness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_form_is_a_witness() {
        let witness = Witness { install: 1, boot: u64::MAX };
        assert_eq!(text(witness), "0000000000000001-ffffffffffffffff");
        assert_eq!(parse(&text(witness)), Some(witness));
        for other in ["", "1-2", "0000000000000001-FFFFFFFFFFFFFFFF", "+000000000000001-0"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
