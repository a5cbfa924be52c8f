//! temporary
use pfproof::source::{MemoryLoader, Sources};
use pfproof::syntax::{Limits, read};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mut sources = Sources::new();
    let (document, faults) = read(
        &mut sources,
        &MemoryLoader::new(),
        &path,
        &bytes,
        &[],
        &Limits::default(),
    );
    for f in &faults {
        let p = f.primary.as_ref().unwrap();
        let l = sources.location(p.span);
        println!(
            "{}:{}:{}: {} [{}] `{}`",
            l.name,
            l.line,
            l.column,
            f.message,
            p.text,
            sources.text(p.span)
        );
        for r in &f.related {
            let l = sources.location(r.span);
            println!(
                "    {}:{}:{}: {} `{}`",
                l.name,
                l.line,
                l.column,
                r.text,
                sources.text(r.span)
            );
        }
        if let Some(h) = &f.help {
            println!("    help: {h}");
        }
    }
    println!("{} statements", document.statements.len());
    if std::env::args().nth(2).is_some() {
        println!("{:#?}", document.statements);
    }
}
