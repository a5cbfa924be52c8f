//! What must hold of every reader of the context.

use pfproof::context::{Kind, combine, read, write_toml};
use pfproof::source::Sources;

/// Reading ends, every finding lies in the text, and what was understood, written as context.toml, is read as the same.
pub fn hold(kind: &Kind, bytes: &[u8]) {
    let mut sources = Sources::new();
    let file = sources.add("text", String::from_utf8_lossy(bytes));
    let (facts, findings) = read(kind, &sources, file);
    for finding in &findings {
        for label in finding.primary.iter().chain(&finding.related) {
            assert!(label.span.start <= label.span.end, "{finding:?}");
            assert!(
                label.span.end as usize <= sources.file(label.span.file).text().len(),
                "{finding:?}"
            );
        }
    }
    let (mut combined, _) = combine(vec![facts]);
    let again = sources.add("context.toml", write_toml(&combined.context));
    let (facts, findings) = read(&Kind::ContextToml, &sources, again);
    assert_eq!(findings, []);
    let (read_again, _) = combine(vec![facts]);
    // context.toml says all routes that there are; of other files there may be more.
    combined.context.routes_open = false;
    assert_eq!(read_again.context, combined.context);
}
