//! How wide a text is where each character has one column or two.
//!
//! The widths of East Asian Width (Unicode Annex 11), as far as names need them: wide and fullwidth
//! blocks and emoji are two columns, marks that join the character before are none. It decides
//! where columns begin, and nothing else.

use alloc::string::String;

/// Blocks of two columns: first and last character.
const WIDE: [(u32, u32); 14] = [
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x2614, 0x2615),
    (0x26a1, 0x26a1),
    (0x2e80, 0x303e),
    (0x3041, 0xa4cf),
    (0xa960, 0xa97c),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe6f),
    (0xff00, 0xff60),
    (0xffe0, 0xffe6),
    (0x1f000, 0x1faff),
    (0x20000, 0x3fffd),
];

/// Blocks of no column: marks, joiners, direction marks, variation selectors, skin tones.
const NONE: [(u32, u32); 17] = [
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x0591, 0x05bd),
    (0x0610, 0x061a),
    (0x064b, 0x065f),
    (0x0900, 0x0902),
    (0x093c, 0x093c),
    (0x0941, 0x0948),
    (0x0e31, 0x0e31),
    (0x0e34, 0x0e3a),
    (0x0e47, 0x0e4e),
    (0x1ab0, 0x1aff),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x206f),
    (0xfe00, 0xfe0f),
    (0x1f3fb, 0x1f3ff),
];

const _: () = assert!(WIDE[13].1 > NONE[16].1, "both tables rise to their ends");
const _: () = assert!(WIDE[0].0 > 0x7f && NONE[0].0 > 0x7f, "ASCII is one column each");
const _: () = rising(&WIDE);
const _: () = rising(&NONE);

/// Asserts that blocks rise and do not overlap.
const fn rising(blocks: &[(u32, u32)]) {
    assert!(!blocks.is_empty(), "a table has blocks");
    let mut at = 0;
    while at < blocks.len() {
        let (first, last) = blocks[at];
        assert!(first <= last, "a block has its characters");
        assert!(last <= char::MAX as u32, "a block ends within Unicode");
        assert!(at == 0 || blocks[at - 1].1 < first, "blocks rise, and do not overlap");
        at += 1;
    }
}

/// Returns how many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    let mut width = 0;
    let mut joined = false;
    for character in text.chars() {
        // An emoji after a joiner is drawn into the one before.
        width += if joined { 0 } else { columns(character) };
        joined = character == '\u{200d}';
    }
    assert!(width <= 2 * text.len(), "a character has two columns at most");
    width
}

fn columns(character: char) -> usize {
    let code = u32::from(character);
    let within = |blocks: &[(u32, u32)]| blocks.iter().any(|(a, b)| (*a..=*b).contains(&code));
    assert!(code <= 0x10_ffff, "a character is one of Unicode");
    if code < 0x300 {
        1
    } else if within(&NONE) {
        0
    } else if within(&WIDE) {
        2
    } else {
        1
    }
}

/// Returns a name as it may stand in a line of left-to-right text: what could turn the line around
/// or hide in it is taken out, and a name that runs from right to left is kept to itself.
pub(super) fn plain(name: &str) -> String {
    let turns = |c: &char| {
        let code = u32::from(*c);
        let lines = matches!(code, 0x2028..=0x202e);
        lines || matches!(code, 0x2066..=0x2069 | 0x200e | 0x200f | 0x061c | 0xfeff)
    };
    let kept: String = name.chars().filter(|c| !turns(c) && !c.is_control()).collect();
    let backwards = kept.chars().any(|c| {
        let code = u32::from(c);
        let far = matches!(code, 0x10800..=0x10fff | 0x1e800..=0x1efff);
        far || matches!(code, 0x0590..=0x08ff | 0xfb1d..=0xfdff | 0xfe70..=0xfefc)
    });
    assert!(kept.len() <= name.len(), "nothing is added to a name");
    if !backwards {
        return kept;
    }
    assert!(!kept.is_empty(), "what runs backwards is something");
    let mut isolated = String::with_capacity(kept.len() + 6);
    isolated.push('\u{2068}');
    isolated.push_str(&kept);
    isolated.push('\u{2069}');
    assert_eq!(isolated.len(), kept.len() + 6, "it stands between two marks of three bytes");
    isolated
}

#[cfg(test)]
mod tests {
    use super::{plain, width};

    #[test]
    fn columns_are_counted_as_they_are_drawn() {
        for (text, columns) in [
            ("", 0),
            ("Tea", 3),
            ("Zwölf", 5),
            ("e\u{301}clair", 6),
            ("緑茶", 4),
            ("ｶﾞﾑ", 3),
            ("김치", 4),
            ("🍵", 2),
            ("👩\u{200d}🍳", 2),
            ("👍🏽", 2),
            ("שלום", 4),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn a_name_cannot_turn_its_line_around() {
        assert_eq!(plain("ab\u{202e}cd"), "abcd");
        assert_eq!(plain("שלום"), "\u{2068}שלום\u{2069}");
        assert_eq!(plain("Tea"), "Tea");
    }
}
