//! temporary
use pfproof::source::{MemoryLoader, Sources};
use pfproof::syntax::{Limits, read};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for _ in 0..5 {
        let mut sources = Sources::new();
        let start = std::time::Instant::now();
        let (document, faults) = read(&mut sources, &MemoryLoader::new(), "x", &bytes, &[], &Limits::default());
        println!(
            "{:?} {} statements {} faults",
            start.elapsed(),
            document.statements.len(),
            faults.len()
        );
        for f in faults.iter().take(3) {
            println!("{f:?}");
        }
    }
}
