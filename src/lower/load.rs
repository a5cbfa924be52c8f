//! The ways in: from a tree, and from a text.

use std::collections::BTreeMap;

use super::{Limits, Lowered, Lowerer, Shared, label, option};
use crate::context::Context;
use crate::diagnostic::{self, Code, Diagnostic};
use crate::ruleset::{Loaded, Name, Ruleset};
use crate::source::{Loader, Sources};
use crate::syntax::{self, Document};

/// The ruleset that pfctl would load from a text, on the machine of the context, with the macros of `-D`; and what it
/// refuses or pfproof warns of, in the order of the text.
///
/// This is all that most callers need: it reads (`syntax::read`) and lowers ([`lower`]) within the usual limits. pfctl
/// would refuse the file if any diagnostic is an error; the ruleset then holds the statements that are well.
#[must_use]
pub fn load(
    sources: &mut Sources,
    loader: &dyn Loader,
    name: &str,
    bytes: &[u8],
    defines: &[(String, String)],
    context: &Context,
) -> (Lowered, Vec<Diagnostic>) {
    let limits = syntax::Limits::default();
    let (document, mut diagnostics) = syntax::read(sources, loader, name, bytes, defines, &limits);
    let (lowered, more) = lower(document, sources, loader, context, &Limits::default());
    diagnostics.extend(more);
    diagnostic::sort(&mut diagnostics);
    (lowered, diagnostics)
}

/// The ruleset of a tree. The files of `load anchor` are read after it, through the loader.
#[must_use]
pub fn lower(
    document: Document,
    sources: &mut Sources,
    loader: &dyn Loader,
    context: &Context,
    limits: &Limits,
) -> (Lowered, Vec<Diagnostic>) {
    let main = Lowerer::new(
        &document,
        sources,
        context,
        loader,
        limits,
        Shared::default(),
        Name::default(),
    );
    let (mut shared, loaded) = main.file();
    let (mut documents, mut parts) = (vec![document], vec![loaded]);
    while let Some(next) = shared.load_anchors.pop_front() {
        if documents.len() > limits.anchor_files {
            let text = format!("more than {} files of `load anchor`", limits.anchor_files);
            shared
                .diagnostics
                .push(Diagnostic::new(Code::Limit, text).at(next.origin.span));
            break;
        }
        let bytes = match loader.load(&next.file) {
            Ok(bytes) => bytes,
            Err(why) => {
                let text = format!("cannot load anchor {}: {}: {}", next.path, next.file, option::why(&why));
                shared
                    .diagnostics
                    .push(Diagnostic::new(Code::Unreadable, text).at(next.origin.span));
                continue;
            }
        };
        shared.file_bytes += bytes.len();
        if shared.file_bytes > limits.file_bytes {
            let text = format!("more than {} bytes of files", limits.file_bytes);
            shared
                .diagnostics
                .push(Diagnostic::new(Code::Limit, text).at(next.origin.span));
            break;
        }
        let name = loader.name(&next.file);
        let (document, faults) = syntax::read(sources, loader, &name, &bytes, &[], &syntax::Limits::default());
        shared.diagnostics.extend(faults);
        replace(&mut shared.ruleset, &mut parts, &next.path);
        let lowerer = Lowerer::new(&document, sources, context, loader, limits, shared, next.path);
        let (after, loaded) = lowerer.file();
        shared = after;
        documents.push(document);
        parts.push(loaded);
    }
    let mut ruleset = shared.ruleset;
    for anchor in ruleset.anchors.values_mut() {
        label::number(&mut anchor.rules);
    }
    for part in &mut parts {
        for anchor in part.replaced.values_mut() {
            label::number(&mut anchor.rules);
        }
    }
    add_parents(&mut ruleset);
    let mut diagnostics = shared.diagnostics;
    if shared.unkept > 0 {
        let text = format!("{} more faults are not shown", shared.unkept);
        diagnostics.push(Diagnostic::new(Code::Limit, text));
    }
    let lowered = Lowered {
        ruleset,
        loaded: parts,
        documents,
    };
    (lowered, diagnostics)
}

/// Takes away what stands at the path that a file is loaded into, and keeps it for the print of what was loaded before.
fn replace(ruleset: &mut Ruleset, parts: &mut [Loaded], path: &str) {
    let below = format!("{path}/");
    let replaced: Vec<Name> = ruleset
        .anchors
        .keys()
        .filter(|&key| &**key == path || key.starts_with(&below))
        .cloned()
        .collect();
    for key in replaced {
        let Some(anchor) = ruleset.anchors.remove(&key) else {
            continue;
        };
        for part in &mut *parts {
            part.replaced.entry(key.clone()).or_insert_with(|| anchor.clone());
        }
    }
}

/// Adds the main ruleset and the parents of every anchor.
fn add_parents(ruleset: &mut Ruleset) {
    let mut parents: BTreeMap<Name, ()> = BTreeMap::new();
    parents.insert(Name::default(), ());
    for path in ruleset.anchors.keys() {
        let mut rest: &str = path;
        while let Some((parent, _)) = rest.rsplit_once('/') {
            if ruleset.anchors.contains_key(parent) {
                break;
            }
            parents.insert(Name::from(parent), ());
            rest = parent;
        }
    }
    for parent in parents.into_keys() {
        ruleset.anchors.entry(parent).or_default();
    }
}
