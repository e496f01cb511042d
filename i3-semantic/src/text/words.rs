//! Texts cut into words.
//!
//! Words are those of UAX 29 after NFKC and lower-casing. Where a script has no spaces between words (Chinese,
//! Japanese, Thai, Lao, Khmer, Burmese), or many endings on them (Korean), a run of characters is kept as its single
//! characters and its pairs, so that a text is found by any part of such a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// The first so many words of a text are searched; what follows is kept, shown, and not found by its words.
pub const MAX_WORDS: usize = 10_000;

/// The longest word, in characters: what is longer is cut there, in texts and in questions alike.
const MAX_WORD: usize = 64;

/// The form in which texts are compared: NFKC, lower case.
pub fn normal(text: &str) -> String {
    // Lower-casing can leave what NFKC would put together again (`İ`), so it comes between two passes.
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// Whether a character is of a script whose words are not told apart by spaces, or hardly.
fn is_run(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF                       // Thai, Lao
        | 0x1000..=0x109F                     // Burmese
        | 0x1100..=0x11FF                     // Hangul letters
        | 0x1780..=0x17FF                     // Khmer
        | 0x3005..=0x3007 | 0x3031..=0x3035   // Iteration marks
        | 0x3040..=0x312F                     // Kana, Bopomofo
        | 0x3130..=0x318F | 0x31A0..=0x31BF | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF   // Han
        | 0xA960..=0xA97F | 0xAC00..=0xD7FF   // Hangul syllables
        | 0xF900..=0xFAFF | 0x20000..=0x3FFFF // Han, rare
    )
}

/// A word, or a run of characters without words.
enum Piece {
    Word(String),
    Run(Vec<char>),
}

/// The pieces of a text in [normal] form.
fn pieces(normal: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut run: Vec<char> = Vec::new();
    let mut run_ends = 0;
    for (start, word) in normal.unicode_word_indices() {
        let in_run = word.chars().any(is_run);
        if !run.is_empty() && (!in_run || start != run_ends) {
            pieces.push(Piece::Run(std::mem::take(&mut run)));
        }
        if in_run {
            run.extend(word.chars());
            run_ends = start + word.len();
        } else {
            pieces.push(Piece::Word(word.chars().take(MAX_WORD).collect()));
        }
        if pieces.len() > MAX_WORDS || run.len() > MAX_WORDS {
            break;
        }
    }
    if !run.is_empty() {
        pieces.push(Piece::Run(run));
    }
    pieces
}

fn pairs(run: &[char]) -> impl Iterator<Item = String> {
    run.windows(2).map(|pair| pair.iter().collect())
}

/// The words that a text is found by, in their order; of runs single characters and pairs. At most [`MAX_WORDS`].
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for piece in pieces(&normal(text)) {
        match piece {
            Piece::Word(word) => tokens.push(word),
            Piece::Run(run) => {
                tokens.extend(pairs(&run));
                tokens.extend(run.into_iter().map(String::from));
            }
        }
        if tokens.len() >= MAX_WORDS {
            tokens.truncate(MAX_WORDS);
            break;
        }
    }
    tokens
}

/// The words that a text must hold all of to answer this question, each once: of runs the pairs, or the character
/// where it stands alone.
pub(crate) fn query_words(question: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in pieces(&normal(question)) {
        match piece {
            Piece::Word(word) => words.push(word),
            Piece::Run(run) if run.len() > 1 => words.extend(pairs(&run)),
            Piece::Run(run) => words.extend(run.into_iter().map(String::from)),
        }
    }
    words.sort();
    words.dedup();
    words
}

/// The length of an ordinary text, in words.
pub(super) const REFERENCE_LENGTH: u32 = 16;

/// The levels there are: 1 to this.
const LEVELS: u32 = 16;

/// The level of a word that occurs so often in a text of this length.
fn level(count: u16, length: u16) -> u8 {
    // tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / reference)), as a share of its bound k1 + 1.
    let (count, length) = (u32::from(count), u32::from(length));
    let share = 10 * LEVELS * count * REFERENCE_LENGTH;
    let whole = 10 * count * REFERENCE_LENGTH + 3 * REFERENCE_LENGTH + 9 * length;
    let level = share.checked_div(whole).unwrap_or(0).min(LEVELS - 1) + 1;
    u8::try_from(level).unwrap_or(1)
}

/// Where a word stands; a word of the title says more than one further down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Title,
    Label,
    Body,
}

impl Field {
    fn weight(self) -> u16 {
        match self {
            Self::Title => 3,
            Self::Label => 2,
            Self::Body => 1,
        }
    }
}

/// The words of one thing: how often each occurs, weighted by where, and how many there are in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    counts: BTreeMap<String, u16>,
    length: u16,
}

impl Words {
    pub(crate) fn add(&mut self, field: Field, text: &str) {
        for token in tokens(text) {
            self.length = self.length.saturating_add(1);
            let count = self.counts.entry(token).or_default();
            *count = count.saturating_add(field.weight());
        }
    }

    /// Each word with its level, by word.
    pub(crate) fn levels(&self) -> Vec<(Arc<str>, u8)> {
        self.counts.iter().map(|(word, count)| (word.as_str().into(), level(*count, self.length))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str, question: &str) -> bool {
        let tokens = tokens(text);
        query_words(question).iter().all(|word| tokens.contains(word))
    }

    #[test]
    fn words_are_found_whatever_their_case_width_and_composition() {
        assert_eq!(tokens("LED from EXTERNAL-app"), ["led", "from", "external", "app"]);
        assert!(found("Größe des Raums", "GRÖSSE") || found("Größe des Raums", "GRÖßE"));
        assert!(found("Cafe\u{301}", "CAFÉ"));
        assert!(found("ＬＥＤ　ﾗﾝﾌﾟ", "led ランプ"));
        assert!(found("датчик Температуры", "температуры"));
    }

    #[test]
    fn a_run_without_spaces_is_found_by_any_part_of_it() {
        assert!(found("智能温度传感器", "温度"));
        assert!(found("智能温度传感器", "度传感"));
        assert!(found("智能温度传感器", "器"));
        assert!(!found("智能温度传感器", "温传"));
        assert!(found("온도센서가 있는 방", "센서"));
        assert!(found("温湿度センサー2号機", "センサー"));
        assert!(found("เซ็นเซอร์อุณหภูมิ", "อุณหภูมิ"));
    }

    #[test]
    fn a_word_says_more_in_a_title_in_a_short_text_and_when_it_is_repeated() {
        let of = |title: &str, body: &str| {
            let mut words = Words::default();
            words.add(Field::Title, title);
            words.add(Field::Body, body);
            words.levels().into_iter().find(|(word, _)| &**word == "fan").unwrap().1
        };
        let long = "word ".repeat(60);
        assert!(of("fan", "") > of("heater", "fan"));
        assert!(of("heater", "fan") > of("heater", &format!("fan {long}")));
        assert!(of("heater", &format!("fan fan fan {long}")) > of("heater", &format!("fan {long}")));
        assert_eq!((level(u16::MAX, 1), level(0, u16::MAX)), (16, 1));
    }

    #[test]
    fn a_text_without_words_has_none() {
        assert!(tokens(" -- !?\u{200b}… ").is_empty());
        assert!(query_words("").is_empty());
    }

    #[test]
    fn a_text_of_a_megabyte_is_searched_by_its_first_words() {
        let words = tokens(&"word ".repeat(250_000));
        assert_eq!(words.len(), MAX_WORDS);
        assert_eq!(tokens(&"温".repeat(400_000)).len(), MAX_WORDS);
        assert!(tokens(&"x".repeat(1_000_000)).iter().all(|word| word.chars().count() == MAX_WORD));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_found_by_each_of_its_words(text in "\\PC{0,60}") {
            let held = tokens(&text);
            for word in query_words(&text) {
                prop_assert!(held.contains(&word), "{word:?} of {text:?}");
            }
        }

        #[test]
        fn the_normal_form_is_its_own_normal_form(text in "\\PC{0,40}") {
            let once = normal(&text);
            prop_assert_eq!(normal(&once), once);
        }
    }
}
