//! The guide quotes the code as it is.

use std::path::Path;

/// A text without indentation and line ends, so that a quotation may stand at another depth.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// The quotations of a guide: a file's name in backquotes and a colon, an empty line, a block of code.
fn quotations(guide: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = guide.split("```").collect();
    let blocks = parts.iter().zip(parts.iter().skip(1)).step_by(2);
    let named = blocks.filter_map(|(before, block)| {
        let name = before.trim_end().strip_suffix("`:")?.rsplit('`').next()?;
        Some((name, block.split_once('\n')?.1))
    });
    named.collect()
}

#[test]
fn what_the_guide_quotes_stands_in_the_files_that_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = std::fs::read_to_string(root.join("docs/backends.md")).unwrap();
    let quoted = quotations(&guide);
    assert_eq!(quoted.len(), guide.matches("rust,ignore").count(), "what is not compiled is quoted");
    assert!(quoted.len() >= 6, "{quoted:?}");
    for (name, block) in quoted {
        let file = std::fs::read_to_string(root.join(name)).unwrap();
        let (block, file) = (lines(block), lines(&file));
        assert!(file.windows(block.len()).any(|part| part == block), "`{name}` does not have\n{block:#?}");
    }
}
